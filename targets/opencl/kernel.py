"""What a region becomes on a device: kernels in OpenCL C, launched one after the other."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One launch of a kernel function.

    The function has two parameters for each pointer: a buffer, and the elements into it at which
    the value begins (uint). After these come no others.
    """

    function: str  # its name in OpenCL C
    arguments: tuple[int, ...]  # for each pointer parameter: its place among the call's arguments
    items: tuple[int, int, int]  # work-items in each dimension; unused dimensions have 1
    group: tuple[int, int, int] | None = None  # the work-group that it needs; None: any will do
    private_bytes: int = 0  # registers and arrays that one work-item declares
    local_bytes: int = 0  # shared by the work-items of a group
    operations: int = 0  # multiply-adds count as two
    bytes: int = 0  # of global memory that are read or written at least once

    def __post_init__(self) -> None:
        if min(self.items) < 1:
            raise ValueError(f"{self.function}: {self.items} work-items")


@dataclass(frozen=True, kw_only=True)
class DeviceKernel:
    """What one kernel call runs on the device.

    The call's arguments are those of the CPU's kernel: what is read, what is written, scratch
    buffers. A scratch buffer serves both; it is as large as the one that needs more.
    """

    source: str  # the functions in OpenCL C, without what `preamble` has
    launches: tuple[Launch, ...]
    workspaces: tuple[tuple[int, str], ...]  # (elements, dtype) of the scratch buffers
    inplace: tuple[tuple[int, int], ...]  # (input, output) that may share storage
    extensions: frozenset[str] = frozenset()  # that the device must have: "cl_khr_fp64"
    helpers: frozenset[str] = frozenset()  # functions of the preamble that the source calls
