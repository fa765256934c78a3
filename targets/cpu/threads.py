"""Which loops threads share, and the scratch memory of parallel iterations."""

import math
from collections.abc import Callable
from typing import Any

import tvm_ffi
from tvm import ir, tirx

from ..target import Target
from .stages import Stage, collect

# From which on threads share a stage. One core of a Zen 4 server gives 16 tasks to another one and
# waits for them in 1.5 us, and fetches what the other one wrote at 4 GB/s (the fastest tenth of
# 2000 launches, real-time priority). Either of these takes one core some 10 to 35 us: ResNet-8 is
# slower on two threads than on one if it shares what takes less.
SHARED_ELEMENTS = 1 << 15  # moved through memory
SHARED_PRODUCTS = 1 << 17  # vectors multiplied and added in registers
_FEW = 2  # times that an element is used which comes from memory rather than from a cache

TASKS = "tasks"  # annotation: iterations are independent of each other and worth a thread


def is_worth_threads(stage: Stage, target: Target) -> bool:
    """Whether a stage takes several times as long as sharing it, and moving what it reads."""
    notes = stage.node.annotations
    if "multiply_adds" in notes:  # statements
        return int(notes["multiply_adds"]) >= SHARED_PRODUCTS * target.lanes(32)
    iterations = math.prod(int(v.dom.extent) for v in stage.node.iter_vars)
    sizes = [math.prod(map(int, load.source.ty.shape)) for load in stage.loads]
    moved = max([math.prod(stage.extents), *(n for n in sizes if iterations <= _FEW * n)])
    return moved >= SHARED_ELEMENTS or iterations >= SHARED_PRODUCTS * target.lanes(32)


def run_tasks(func: Any, parallel: bool) -> Any:
    """Turn every loop annotated with `TASKS` into one on the thread pool, or into a plain one."""
    if not any(_is_annotated(loop) for loop in collect(func.body, tirx.For)):
        return func

    def convert(loop: Any) -> Any:
        if not _is_annotated(loop):
            return loop
        kind = tirx.ForKind.PARALLEL if parallel else tirx.ForKind.SERIAL
        return tirx.For(loop.loop_var, loop.min, loop.extent, kind, loop.body)

    body = tvm_ffi.structural_map(func.body, (tirx.For, convert))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _is_annotated(loop: Any) -> bool:
    return TASKS in dict(loop.annotations.items())


def part_scratch(func: Any, is_shared: Callable[[Any], bool]) -> Any:
    """Give each iteration of a parallel loop its own part of the scratch buffers allocated inside.

    Comes after buffers were shrunk to what is used of them: of a part it would see one iteration.

    Args:
        func: Loops, no blocks.
        is_shared: Whether a buffer will be memory that all threads see, not the stack of each.
    """

    def part(loop: Any) -> Any:
        if loop.kind != tirx.ForKind.PARALLEL:
            return loop
        body = loop.body
        for alloc in collect(body, tirx.AllocBuffer):
            if is_shared(alloc.buffer):
                body = _Part(loop, alloc.buffer).use_in(body)
        notes = dict(loop.annotations.items())
        return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, body, annotations=notes)

    body = tvm_ffi.structural_map(func.body, (tirx.For, part))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


class _Part:
    """The part of a larger buffer that one iteration has instead of a buffer."""

    def __init__(self, loop: Any, buffer: Any) -> None:
        self.old, self.iteration = buffer, loop.loop_var
        shape = [int(loop.extent), *(int(size) for size in buffer.ty.shape)]
        self.new = tirx.decl_buffer(shape, str(buffer.ty.dtype), buffer.name, layout=None)

    def use_in(self, body: Any) -> Any:
        """The statement with all its accesses to the buffer going to the part."""
        rules = (
            (tirx.AllocBuffer, self._allocate),
            (tirx.BufferStore, self._store),
            (ir.TensorLoad, self._load),
        )
        return tvm_ffi.structural_map(body, rules)

    def _allocate(self, node: Any) -> Any:
        return tirx.AllocBuffer(self.new) if node.buffer.same_as(self.old) else node

    def _store(self, node: Any) -> Any:
        if not node.buffer.same_as(self.old):
            return node
        return tirx.BufferStore(self.new, node.value, [self.iteration, *node.indices])

    def _load(self, node: Any) -> Any:
        if not node.source.same_as(self.old):
            return node
        return tirx.BufferLoad(self.new, [self.iteration, *node.indices])
