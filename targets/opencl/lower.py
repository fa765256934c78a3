"""One region -> kernels in OpenCL C, launched one after the other over the CPU's buffers."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import tvm
from tvm import ir, s_tir, tirx

from ..cpu.bfloat16 import convert_by_bits
from ..cpu.codegen import hoist_allocations, llvm_target, own_pass, to_loops
from ..cpu.flatten import flatten_buffers
from ..cpu.half_storage import HALF_DTYPES, compute_in_float32
from ..cpu.lets import lets_to_registers, with_own_variables
from ..cpu.memory_order import without_order
from ..cpu.peel import peel_last_iterations
from ..cpu.stages import collect
from ..cpu.threads import part_scratch
from ..cpu.vector_tails import shorten_vectors
from ..mobile_gpus import MobileGpu
from .border import Border, add_border
from .groups import form_groups
from .kernel import DeviceKernel, Launch
from .launches import Nest, nests, shared_scratch, sizes, top_level, touched
from .print_kernel import KernelText, print_kernel
from .schedule import schedule_device, work_item
from .statements import is_exact
from .words import kind_of
from .work import bytes_moved, operations

_THREAD = 1  # TIR's IterVar type
PRIVATE_BYTES = 1024  # larger scratch buffers of a work-item are its part of a workspace


def lower_device_kernel(
    func: Any,
    symbol: str,
    target: MobileGpu,
    *,
    inputs: int,
    half_arithmetic: bool = False,
    borders: Mapping[int, Border] = MappingProxyType({}),
) -> DeviceKernel:
    """Lower the PrimFunc of one region to the launches that compute it on a device.

    Args:
        func: TE stages; its first `inputs` parameters are read, the others written.
        symbol: Prefix of the names of the functions in OpenCL C.
        target: The GPU, and the CPU that the stages were made for.
        inputs: Number of parameters that are read.
        half_arithmetic: Whether what is float16 is also computed in float16.
        borders: By parameter: what to write around its images.
    """
    scheduled = schedule_device(func, target, inputs=inputs)
    given = len(func.params)
    lowered = _over_flat_buffers(scheduled.func, symbol, target, HALF_DTYPES[half_arithmetic:])
    workspaces = lowered.params[given:]
    options = {
        "restrict": not scheduled.inplace,
        "words": kind_of(target),
        "half_arithmetic": half_arithmetic,
        "exact": is_exact(lowered.body),
    }
    found = nests(without_order(lowered.body))
    for place, border in borders.items():
        add_border(found, lowered.params[place], border)
    made = [
        _launch(nest, f"{symbol}_{number}", list(lowered.params), target, options)
        for number, nest in enumerate(found)
    ]
    texts = [text for text, _ in made]
    return DeviceKernel(
        source="\n".join(text.text for text in texts),
        launches=tuple(launch for _, launch in made),
        workspaces=tuple((_elements(buffer), str(buffer.ty.dtype)) for buffer in workspaces),
        inplace=scheduled.inplace,
        extensions=frozenset().union(*(text.extensions for text in texts)),
        helpers=frozenset().union(*(text.helpers for text in texts)),
    )


def _over_flat_buffers(func: Any, symbol: str, target: MobileGpu, narrow: Sequence[str]) -> Any:
    """Loops over one-dimensional buffers, the scratch buffers of launches being parameters."""
    mod = tvm.IRModule({symbol: with_own_variables(func).with_attr("global_symbol", symbol)})
    mod = tirx.transform.BindTarget(llvm_target(work_item(target)))(mod)
    func = to_loops()(mod)[symbol]
    given = len(func.params)
    func = part_scratch(form_groups(func), _is_large)
    shared = shared_scratch(func.body)

    def is_workspace(buffer: Any) -> bool:
        return _is_large(buffer) or any(buffer.same_as(other) for other in shared)

    func = hoist_allocations(func, is_workspace)
    func = flatten_buffers(func)
    return compute_in_float32(func, params=given, narrow=narrow)


def _launch(
    nest: Nest, name: str, params: list[Any], target: MobileGpu, options: dict[str, Any]
) -> tuple[KernelText, Launch]:
    """The function of one launch, and what it takes to launch it."""
    used = touched(nest.body)
    places = [i for i, param in enumerate(params) if any(param.same_as(b) for b in used)]
    func = tirx.PrimFunc([params[i] for i in places], _with_items(nest))
    func = shorten_vectors(peel_last_iterations(func))
    counted = func.body
    mod = tvm.IRModule({name: func.with_attr("global_symbol", name)})
    mod = tirx.transform.BindTarget(llvm_target(work_item(target)))(mod)
    with tvm.transform.PassContext(opt_level=3):
        func = _to_code()(mod)[name]
    written = [store.buffer for store in collect(func.body, tirx.BufferStore)]
    parameters = [
        (buffer, not any(buffer.same_as(other) for other in written)) for buffer in func.params
    ]
    items, body = _without_items(func.body)
    ids = [(var, dimension, extent) for dimension, (var, extent) in enumerate(items)]
    text = print_kernel(name, body, parameters, ids, is_rounded=nest.group is None, **options)
    extents = [extent for _, extent in items]
    launch = Launch(
        function=name,
        arguments=tuple(places),
        items=sizes(extents),
        group=nest.group,
        private_bytes=text.private_bytes,
        local_bytes=sum(
            _bytes(alloc.buffer)
            for alloc in collect(func.body, tirx.AllocBuffer)
            if alloc.buffer.scope() == "shared"
        ),
        operations=operations(counted),
        bytes=bytes_moved(counted, list(func.params)),
    )
    return text, launch


def _with_items(nest: Nest) -> Any:
    """The statement of a work-item, its numbers known to be below their extents."""
    body = nest.body
    for dimension, item in enumerate(nest.items):
        tag = f"blockIdx.{'xyz'[dimension]}"
        axis = tirx.IterVar(ir.Range(0, item.extent), item.var, _THREAD, tag)
        body = tirx.AttrStmt(axis, "thread_extent", tirx.const(item.extent, "int32"), body)
    return body


def _without_items(body: Any) -> tuple[list[tuple[Any, int]], Any]:
    """The inverse of `_with_items`: (variable, extent), dimension 0 first, and the statement."""
    found: list[tuple[Any, int]] = []
    before: list[Any] = []
    while (item := _item(body)) is not None:
        parts, inner = item
        before += parts
        found.append((inner.node.var, int(inner.value)))
        body = inner.body
    parts = [*before, *top_level(body)]
    return found[::-1], tirx.SeqStmt(parts) if len(parts) > 1 else parts[0]


def _item(body: Any) -> tuple[list[Any], Any] | None:
    """The outermost dimension of a statement, and what stands before it."""
    *before, last = top_level(body)
    is_item = isinstance(last, tirx.AttrStmt) and last.attr_key == "thread_extent"
    return (before, last) if is_item else None


def _to_code() -> Any:
    """Loops to what is printed: vectors, straight code of register tiles, common terms."""
    blocks, flat = s_tir.transform, tirx.transform
    return tvm.ir.transform.Sequential(
        [
            own_pass(convert_by_bits, "ConvertByBits"),
            flat.StmtSimplify(),
            flat.ConvertSSA(),
            flat.NarrowDataType(32),
            flat.VectorizeLoop(True),
            blocks.RewriteUnsafeSelect(),
            own_pass(lets_to_registers, "LetsToRegisters"),
            flat.BF16ComputeLegalize(),
            blocks.HoistIfThenElse(),
            flat.UnrollLoop(),
            blocks.RenormalizeSplitPattern(),
            flat.StmtSimplify(),
            flat.RemoveNoOp(),
            flat.CommonSubexprElim(),
        ]
    )


def _is_large(buffer: Any) -> bool:
    return buffer.scope() == "global" and _bytes(buffer) > PRIVATE_BYTES


def _bytes(buffer: Any) -> int:
    bits = int(tvm.DataType(str(buffer.ty.dtype)).bits)
    return _elements(buffer) * ((bits + 7) // 8)


def _elements(buffer: Any) -> int:
    return math.prod(int(size) for size in buffer.ty.shape)
