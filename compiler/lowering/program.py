"""The lowered program: buffers and kernel calls, for the planner, the C code and the report."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ...targets.opencl.kernel import DeviceKernel
from ...targets.target import Target
from ..ir.tensor_spec import TensorSpec

ValueKind = Literal["input", "output", "constant", "intermediate", "workspace"]
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Value:
    """One buffer of the compiled program."""

    name: str  # C identifier, unique in the program
    spec: TensorSpec
    kind: ValueKind
    alias_of: str | None = None  # the same bytes as that value; aliases may chain
    data: np.ndarray | None = None  # constants only; bfloat16 as a uint16 view
    index: int = -1  # position among the inputs or outputs of the model

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a C identifier")
        if (self.kind == "constant" and self.alias_of is None) != (self.data is not None):
            raise ValueError(f"{self.name}: constants carry data, other values do not")
        if self.data is not None and self.data.nbytes != self.spec.nbytes:
            raise ValueError(f"{self.name}: {self.data.nbytes} bytes of data for {self.spec}")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One kernel call; calls run in the order they are listed."""

    kernel: str  # symbol
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    arguments: tuple[str, ...]  # C parameter order: reads, writes, workspaces
    offsets: tuple[int, ...] = ()  # elements into each argument where it is passed; default: none
    inplace: tuple[tuple[int, int], ...] = ()  # (read index, write index) that may share storage
    leads: tuple[int | None, ...] = ()  # for each read: bytes that the (only) result must start
    # before it to share its memory; None, or beyond the end: it must not
    lead_unit: int = 1  # the distance is a lead plus a multiple of this
    macs: int = 0
    bytes: int = 0
    ops: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    note: str = ""  # what it computes, in words


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A program whose every region is a kernel call over named buffers."""

    name: str  # prefix of every C symbol
    target: Target
    threads: int
    values: dict[str, Value]
    calls: tuple[Call, ...]
    kernels: dict[str, Any]  # symbol -> what the target's code generator compiles
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_names: tuple[str, ...] = ()  # what the user calls the inputs; default: the value names
    output_names: tuple[str, ...] = ()
    device_kernels: Mapping[str, DeviceKernel] = field(default_factory=dict)  # symbol -> on the GPU

    def storage_of(self, name: str) -> str:
        """The value that owns the bytes of `name`, with aliases followed to their end."""
        seen = {name}
        while (parent := self.values[name].alias_of) is not None:
            if parent in seen:
                raise ValueError(f"alias cycle at {name}")
            seen.add(parent)
            name = parent
        return name
