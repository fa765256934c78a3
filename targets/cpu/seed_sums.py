"""Sums that start at the bias: clear, accumulate, add -> load, accumulate.

A product whose only reader adds one number per column starts its accumulators there instead of at
zero. With a short reduction, that addition is a noticeable part of the work: 1 / K of it. Sums of
integers may start at several such numbers: their order does not show.
"""

from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import ir, s_tir, tirx

from .stages import collect

_TEMPLATES = ("gemm", "conv")  # those that keep the sums of a tile in registers


@dataclass(frozen=True)
class _Seed:
    """A block that accumulates, the one that reads its sums, and what that adds to them."""

    product: Any
    reader: Any
    addition: Any  # in the reader
    bias: Any  # the load in it

    @property
    def sums(self) -> Any:
        """The load of the accumulated value in the reader."""
        a, b = self.addition.a, self.addition.b
        return a if b.same_as(self.bias) else b


def seed_sums(func: Any) -> Any:
    """Start every accumulation at the bias that its reader adds, where there is one."""
    blocks = collect(func.body, s_tir.SBlock)
    seeds = [seed for block in blocks if (seed := _seed(block, blocks)) is not None]
    if not seeds:
        return func
    again = any("int" in str(seed.bias.ty.dtype) for seed in seeds)

    def rebuilt(block: Any) -> Any:
        for seed in seeds:
            if block.same_as(seed.product):
                return _started(seed)
            if block.same_as(seed.reader):
                return _without_addition(seed)
        return block

    # Blocks are looked up as they are: the root, which holds the others, is no seed.
    body = tvm_ffi.structural_map(func.body, (s_tir.SBlock, rebuilt))
    func = tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)
    return seed_sums(func) if again else func


def _seed(product: Any, blocks: list[Any]) -> _Seed | None:
    if str(product.annotations.get("schedule", "")) not in _TEMPLATES or product.init is None:
        return None
    buffer = product.init.buffer
    if not _is_zero(product.init.value) and "float" in str(buffer.ty.dtype):
        return None
    readers = [b for b in blocks if any(r.source.same_as(buffer) for r in b.reads)]
    readers = [b for b in readers if not b.same_as(product)]
    if len(readers) != 1 or not isinstance(readers[0].body, tirx.BufferStore):
        return None
    value = readers[0].body.value
    loads = [load for load in collect(value, ir.TensorLoad) if load.source.same_as(buffer)]
    if len(loads) != 1:
        return None
    for addition in collect(value, tirx.Add):
        for sums, bias in ((addition.a, addition.b), (addition.b, addition.a)):
            if sums.same_as(loads[0]) and _is_per_column(bias, sums):
                return _Seed(product, readers[0], addition, bias)
    return None


def _is_per_column(bias: Any, sums: Any) -> bool:
    """Whether `bias` is one element for each of the columns of the sums, of their type."""
    if not isinstance(bias, ir.TensorLoad) or not bias.indices or str(bias.ty) != str(sums.ty):
        return False
    *others, last = bias.indices
    column, columns = sums.indices[-1], int(sums.source.ty.shape[-1])
    scalar_rows = all(isinstance(index, tirx.IntImm) for index in others)
    whole = int(bias.source.ty.shape[-1]) == columns
    return scalar_rows and whole and isinstance(column, ir.Var) and bool(last.same_as(column))


def _is_zero(value: Any) -> bool:
    return isinstance(value, tirx.IntImm | tirx.FloatImm) and value.value == 0


def _started(seed: _Seed) -> Any:
    block, init = seed.product, seed.product.init
    *others, _ = seed.bias.indices
    index = [*others, init.indices[-1]]
    value = tirx.BufferLoad(seed.bias.source, index)
    value = value if _is_zero(init.value) else init.value + value
    start = tirx.BufferStore(init.buffer, value, init.indices)
    region = tirx.BufferRegion(seed.bias.source, [ir.Range.from_min_extent(i, 1) for i in index])
    return _block(block, [*block.reads, region], block.body, start)


def _without_addition(seed: _Seed) -> Any:
    block = seed.reader
    body = tvm_ffi.structural_map(
        block.body, (tirx.Add, lambda node: seed.sums if node.same_as(seed.addition) else node)
    )
    loads = collect(body, ir.TensorLoad)
    used = [r for r in block.reads if any(load.source.same_as(r.source) for load in loads)]
    return _block(block, used, body, block.init)


def _block(old: Any, reads: list[Any], body: Any, init: Any) -> Any:
    return s_tir.SBlock(
        old.iter_vars,
        reads,
        old.writes,
        old.name_hint,
        body,
        init,
        old.alloc_buffers,
        old.match_buffers,
        old.annotations,
    )
