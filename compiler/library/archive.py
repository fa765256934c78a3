"""Static libraries: the `ar` format with a symbol index, written the same way every time."""

import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

from .elf import Elf

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_BLOCK_BYTES = 1 << 20


def write_archive(path: Path, objects: Sequence[Path]) -> None:
    """Make the archive `path` of some object files; their names have at most 15 characters."""
    index = [(file, symbol) for file in objects for symbol in _defined(file)]
    names = b"".join(symbol.encode() + b"\0" for _, symbol in index)
    index_bytes = 4 + 4 * len(index) + len(names)
    offset = len(_MAGIC) + _HEADER_BYTES + index_bytes + index_bytes % 2
    offsets: dict[Path, int] = {}
    for file in objects:
        offsets[file] = offset
        size = file.stat().st_size
        offset += _HEADER_BYTES + size + size % 2
    table = [offsets[file] for file, _ in index]
    content = struct.pack(f">{1 + len(table)}I", len(table), *table) + names
    with path.open("wb") as archive:
        archive.write(_MAGIC + _header("/", len(content)) + content + b"\n" * (len(content) % 2))
        for file in objects:
            size = file.stat().st_size
            archive.write(_header(file.name + "/", size))
            with file.open("rb") as data:
                shutil.copyfileobj(data, archive, _BLOCK_BYTES)
            archive.write(b"\n" * (size % 2))


def extract_archive(path: Path, folder: Path) -> list[Path]:
    """The object files of an archive that `write_archive` made, written to `folder`."""
    archive = path.read_bytes()
    if archive[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"{path} is not an archive")
    files: list[Path] = []
    offset = len(_MAGIC)
    while offset < len(archive):
        header = archive[offset : offset + _HEADER_BYTES]
        name, size = header[:16].decode().rstrip(), int(header[48:58])
        offset += _HEADER_BYTES
        if name != "/":  # the symbol index
            files.append(folder / name.removesuffix("/"))
            files[-1].write_bytes(archive[offset : offset + size])
        offset += size + size % 2
    return files


def _defined(file: Path) -> list[str]:
    return [symbol.name for symbol in Elf.open(file).symbols() if symbol.is_defined]


def _header(name: str, size: int) -> bytes:
    if len(name) > 16:
        raise ValueError(f"archive member name {name!r} is too long")
    return f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{size:<10}`\n".encode()
