"""Hand-made TIR for tests of the printer, and its runs on a device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm import tirx

from penjing.targets.opencl.kernel import DeviceKernel, Launch
from penjing.targets.opencl.print_kernel import KernelText, print_kernel
from tests.opencl.device import Array
from tests.opencl.runs import run_kernel


def buffer(name: str, size: int, dtype: str = "float32", scope: str = "global") -> Any:
    """A one-dimensional buffer."""
    return tirx.decl_buffer((size,), dtype, name, scope=scope)


def at(source: Any, index: Any) -> Any:
    """An element, or the vector at a ramp."""
    return tirx.BufferLoad(source, [index])


def to(target: Any, index: Any, value: Any) -> Any:
    """A store."""
    return tirx.BufferStore(target, value, [index])


def ramp(base: Any, lanes: int, stride: int = 1) -> Any:
    """Places that follow each other."""
    return tirx.Ramp(base, stride, lanes)


def in_order(*statements: Any) -> Any:
    """Statements one after the other."""
    return tirx.SeqStmt(list(statements))


def printed(
    body: Any, read: Sequence[Any], written: Sequence[Any], ids: Any = (), **options: Any
) -> KernelText:
    """The kernel `test` of a body."""
    parameters = [*((each, True) for each in read), *((each, False) for each in written)]
    return print_kernel("test", body, parameters, ids, **options)


def run(
    body: Any, read: Sequence[Any], written: Sequence[Any], ids: Any, *arrays: Array, **options: Any
) -> list[Array]:
    """What the kernel leaves in the buffers that it writes, which begin as zeros."""
    text = printed(body, read, written, ids, **options)
    results = [np.zeros(int(each.ty.shape[0]), _numpy_name(each)) for each in written]
    items = [extent for _, _, extent in ids] + [1] * (3 - len(ids))
    launch = Launch(
        function="test", arguments=tuple(range(len(read) + len(written))), items=tuple(items)
    )
    kernel = DeviceKernel(
        source=text.text, launches=(launch,), workspaces=(), inplace=(), helpers=text.helpers
    )
    return run_kernel(kernel, [*arrays, *results])[len(read) :]


def _numpy_name(each: Any) -> str:
    return str(each.ty.dtype)
