"""All constants of a program as one read-only block of bytes."""

import struct
from dataclasses import dataclass
from hashlib import sha256

from ..lowering.program import Lowered
from ..planning import ARENA_ALIGN

HEADER_BYTES = 64  # of a separate weights file
_MAGIC = b"PENJINGW"
_FORMAT = 1


@dataclass(frozen=True)
class Constants:
    """The block, and where in it each constant starts (aliases included)."""

    data: bytes
    offsets: dict[str, int]

    def file_header(self) -> bytes:
        """The first bytes of a separate weights file; the library refuses any other."""
        digest = sha256(self.data).digest()
        return struct.pack("<8sIIQ32s8x", _MAGIC, _FORMAT, HEADER_BYTES, len(self.data), digest)


def pack_constants(lowered: Lowered) -> Constants:
    """Lay out the constants that calls or outputs use, in order of first use, equal ones once."""
    offsets: dict[str, int] = {}
    known: dict[bytes, int] = {}
    parts: list[bytes] = []
    size = 0
    for name in _used(lowered):
        value = lowered.values[lowered.storage_of(name)]
        if name in offsets or value.data is None:
            continue
        data = value.data.tobytes()
        digest = sha256(data).digest()
        if digest not in known:
            known[digest] = size
            padding = -len(data) % ARENA_ALIGN
            parts += (data, bytes(padding))
            size += len(data) + padding
        offsets[name] = known[digest]
    return Constants(b"".join(parts), offsets)


def _used(lowered: Lowered) -> list[str]:
    return [*(name for call in lowered.calls for name in call.arguments), *lowered.outputs]
