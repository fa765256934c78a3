"""Scheduled PrimFuncs -> one ELF object of plain C functions.

Kernels skip TVM's packed calling convention: a kernel is `void NAME(T *a, T *b, ...)` and needs no
runtime. Its pointers never alias, but for those it says may share storage. Scratch buffers that do
not fit registers are not put on the stack: they become extra pointer parameters, the workspaces
that the memory planner places.
"""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import PointerType, PrimType, Var

from ..target import Target
from .bfloat16 import broadcast_bits, convert_by_bits
from .extremes import use_extremes
from .flatten import flatten_buffers
from .float16 import convert_float16_by_bits
from .half_storage import HALF_DTYPES, compute_in_float32
from .inequality import compare_unordered
from .integer_ops import use_instructions
from .lets import lets_to_registers, with_own_variables
from .memory_order import define_order
from .near_pointers import use_near_pointers
from .peel import peel_last_iterations
from .schedule import Scheduled
from .stages import collect
from .threads import part_scratch
from .vector_tails import shorten_vectors

STACK_BYTES = 256  # larger scratch buffers become workspaces
_CONFIG = {"s_tir.LoopPartition": {"partition_const_loop": True}}


@dataclass(frozen=True, kw_only=True)
class RawKernel:
    """A kernel ready for LLVM, and what its caller has to give it."""

    func: Any  # tirx.PrimFunc over raw pointers
    workspaces: tuple[tuple[int, str], ...]  # (elements, dtype) of the trailing parameters
    inplace: tuple[tuple[int, int], ...]  # (input, output) that may share storage
    parallel: bool  # runs its outer loop on the thread pool and returns int32


def llvm_target(target: Target) -> Any:
    """The TVM target that generates code for `target`."""
    options: dict[str, Any] = {
        "kind": "llvm",
        "mtriple": target.triple,
        "mcpu": target.llvm_cpu,
        "mattr": list(target.features),
    }
    if target.float_abi:
        options["mfloat-abi"] = target.float_abi
    llvm = tvm.target.Target(options)
    return llvm.with_host(llvm)


def lower_kernel(
    scheduled: Scheduled, symbol: str, target: Target, *, half_arithmetic: bool = False
) -> RawKernel:
    """Lower a scheduled PrimFunc to loops over raw pointers, its scratch buffers parameters.

    With `half_arithmetic` what is float16 is also computed in float16.
    """
    func = scheduled.func
    parallel = _is_parallel(func.body)
    narrow = HALF_DTYPES[half_arithmetic:]
    mod = tvm.IRModule({symbol: func.with_attr("global_symbol", symbol)})
    if parallel:  # iterations run at once: each needs its own part of a buffer
        mod = _apply(mod, _hoist_root_buffers)
    with tvm.transform.PassContext(opt_level=3, config=_CONFIG):
        mod = _apply(mod, with_own_variables)
        mod = to_loops()(tirx.transform.BindTarget(llvm_target(target))(mod))
        mod = _apply(mod, lambda func: part_scratch(func, _is_workspace))
        widen = partial(compute_in_float32, params=len(func.params), narrow=narrow)
        for rewrite in (flatten_buffers, widen, peel_last_iterations, shorten_vectors):
            mod = _apply(mod, rewrite)
        mod = _apply(mod, convert_by_bits)
        if not target.has_half_conversions:
            mod = _apply(mod, convert_float16_by_bits)
        params = len(mod[symbol].params)
        mod = _apply(mod, partial(hoist_allocations, is_workspace=_is_workspace))
        mod = _to_code(target)(mod)
    lowered = mod[symbol]
    first = len(func.params) if parallel else params
    workspaces = tuple((_elements(p), str(p.ty.dtype)) for p in lowered.params[first:])
    distinct = not scheduled.inplace
    return RawKernel(
        func=define_order(pointers_for_buffers(lowered, parallel)).with_attr(
            "tirx.noalias", distinct
        ),
        workspaces=workspaces,
        inplace=scheduled.inplace,
        parallel=parallel,
    )


def compile_kernels(kernels: Sequence[RawKernel], target: Target) -> bytes:
    """Machine code of all kernels as one relocatable ELF object."""
    if not kernels:
        return b""
    module = _build(kernels, target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.o"
        module.write_to_file(str(path), "o")
        return path.read_bytes()


def assembly(kernels: Sequence[RawKernel], target: Target) -> str:
    """The kernels as assembly text, to read."""
    return str(_build(kernels, target).inspect_source("asm"))


def _build(kernels: Sequence[RawKernel], target: Target) -> Any:
    mod = tvm.IRModule({str(k.func.attrs["global_symbol"]): k.func for k in kernels})
    passes = [tirx.transform.BF16StorageLegalize(), tirx.transform.LowerIntrin()]
    mod = tvm.ir.transform.Sequential(passes)(_apply(mod, broadcast_bits))
    mod = _apply(mod, compare_unordered)
    mod = _apply(mod, lambda func: use_extremes(func, target))
    return tvm.get_global_func("target.build.llvm")(mod, llvm_target(target))


def to_loops() -> Any:
    """Blocks to plain loops."""
    blocks = s_tir.transform
    return tvm.ir.transform.Sequential(
        [
            blocks.CanonicalizeLoop(),
            blocks.LowerInitBlock(),
            blocks.PlanAndUpdateBufferAllocationLocation(),
            blocks.ConvertBlocksToOpaque(),
            blocks.CompactBufferAllocation(),
            blocks.LowerMatchBuffer(),
            blocks.StmtSimplify(),
            blocks.LowerOpaqueBlock(),
        ]
    )


def _to_code(target: Target) -> Any:
    """Loops to what LLVM takes: tails split off, vectors, unrolled register tiles."""
    blocks, flat = s_tir.transform, tirx.transform
    return tvm.ir.transform.Sequential(
        [
            flat.StmtSimplify(),
            flat.ConvertSSA(),
            flat.NarrowDataType(32),
            flat.VectorizeLoop(True),
            blocks.RewriteUnsafeSelect(),
            # later passes take exponential time in lets, and miss bfloat16 in them
            own_pass(lets_to_registers, "LetsToRegisters"),
            flat.BF16ComputeLegalize(),
            flat.StorageRewrite(),
            blocks.HoistIfThenElse(),
            flat.UnrollLoop(),
            blocks.RenormalizeSplitPattern(),
            flat.StmtSimplify(),
            flat.RemoveNoOp(),
            own_pass(partial(use_instructions, target=target), "UseInstructions"),
            own_pass(partial(use_near_pointers, target=target), "NearPointers"),
            flat.CommonSubexprElim(),
        ]
    )


def own_pass(rewrite: Callable[[Any], Any], name: str) -> Any:
    return tirx.transform.prim_func_pass(
        lambda func, module, context: rewrite(func), opt_level=0, name=name
    )


def _apply(mod: Any, rewrite: Any) -> Any:
    return tvm.IRModule({var: rewrite(func) for var, func in mod.functions.items()})


def _is_parallel(body: Any) -> bool:
    loops = collect(body, tirx.For)
    return any(loop.kind == tirx.ForKind.PARALLEL for loop in loops)


def _bytes(buffer: Any) -> int:
    bits = int(tvm.DataType(str(buffer.ty.dtype)).bits)
    return _elements(buffer) * ((bits + 7) // 8)


def _elements(buffer: Any) -> int:
    return math.prod(int(size) for size in buffer.ty.shape)


def _is_workspace(buffer: Any) -> bool:
    return buffer.scope() == "global" and _bytes(buffer) > STACK_BYTES


def _hoist_root_buffers(func: Any) -> Any:
    """Give whole scratch buffers to the caller, before they shrink to one iteration's part.

    Those of which the part is small stay: they shrink, and lie on the stack of each thread.
    """
    root = func.body.block
    hoisted = [b for b in root.alloc_buffers if _is_workspace(b)]
    if hoisted:
        small = _small_parts(func)
        hoisted = [b for b in hoisted if b.name not in small]
    kept = [b for b in root.alloc_buffers if not any(b.same_as(h) for h in hoisted)]
    block = s_tir.SBlock(
        root.iter_vars,
        root.reads,
        root.writes,
        root.name_hint,
        root.body,
        root.init,
        kept,
        root.match_buffers,
        root.annotations,
    )
    body = s_tir.SBlockRealize(func.body.iter_values, func.body.predicate, block)
    return tirx.PrimFunc([*func.params, *hoisted], body, func.ret_type, func.attrs)


def _small_parts(func: Any) -> set[str]:
    """Names of the buffers that fit the stack once they have shrunk to what their loop needs."""
    mod = to_loops()(tvm.IRModule({"parts": func.with_attr("global_symbol", "parts")}))
    parts = [alloc.buffer for alloc in collect(mod["parts"].body, tirx.AllocBuffer)]
    large = {buffer.name for buffer in parts if _is_workspace(buffer)}
    return {buffer.name for buffer in parts} - large


def hoist_allocations(func: Any, is_workspace: Callable[[Any], bool]) -> Any:
    """Turn scratch allocations into parameters, those that are too big for the stack."""
    allocated = (alloc.buffer for alloc in collect(func.body, tirx.AllocBuffer))
    hoisted = list(dict.fromkeys(filter(is_workspace, allocated)))  # peeled iterations share one
    if not hoisted:
        return func

    def drop(alloc: Any) -> Any:
        return tirx.Evaluate(0) if is_workspace(alloc.buffer) else alloc

    body = tvm_ffi.structural_map(func.body, (tirx.AllocBuffer, drop))
    return tirx.PrimFunc([*func.params, *hoisted], body, func.ret_type, func.attrs)


def pointers_for_buffers(func: Any, parallel: bool = False) -> Any:
    """Replace buffer parameters by plain pointers."""
    params: list[Any] = []
    body = func.body
    for buffer in reversed(list(func.params)):
        pointer = Var(
            f"{buffer.name}_pointer", PointerType(PrimType(str(buffer.ty.dtype)), "global")
        )
        body = tirx.SeqStmt([tirx.DeclBuffer(buffer, data=pointer), body])
        params.insert(0, pointer)
    result = func.ret_type
    if parallel:  # LLVM code of a parallel loop returns the error of its launch
        result = PrimType("int32")
        body = tirx.SeqStmt([body, tirx.Return(tirx.const(0, "int32"))])
    return tirx.PrimFunc(params, body, result, func.attrs)
