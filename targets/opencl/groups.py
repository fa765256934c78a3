"""Work-items of a group that share what one of them would take long for.

A schedule marks loops inside of a work-item with `MEMBERS`. Their iterations become the members of
a group; every other statement is run by all of them, or by the first if others see what it writes.
What members write for each other lies in memory that they share, behind barriers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi
from tvm import ir, tirx

from ..cpu.axes import substituted
from ..cpu.stages import collect
from .barrier import barrier
from .launches import GROUP, parallel_loop, top_level

MEMBERS = "pragma_group_members"  # annotation: iterations are members of a group
NEIGHBORS, OUTSIDE = 1, 2  # its values: members are dimension 0, or the one after it
_MOST = {NEIGHBORS: 64, OUTSIDE: 128}  # members of one group or of several side by side
_LOCAL_BYTES = 1 << 14  # of a group, half of what OpenCL 1.2 promises
_PARALLEL = tirx.ForKind.PARALLEL


def form_groups(func: Any) -> Any:
    """Give the members of groups to work-items of their own; needs loops, not yet flat buffers."""
    parts = [_formed(statement) for statement in top_level(func.body)]
    return tirx.PrimFunc(list(func.params), _sequence(parts), func.ret_type, func.attrs)


def _formed(statement: Any) -> Any:
    """One nest, its inner loops over members now the innermost of its parallel ones."""
    loops = []
    body = statement
    while (loop := parallel_loop(body)) is not None:
        loops.append(loop)
        body = loop.body
    members = [part for part in top_level(body) if _kind(part)]
    if not members or not loops:
        return statement
    count = max(int(part.body.extent) for part in members)
    near = max(
        (
            n
            for n in range(1, _MOST[_kind(members[0])] // count + 1)
            if int(loops[-1].extent) % n == 0
        ),
        default=1,
    )
    group = _Group(loops[-1].loop_var, tirx.Var("member", "int32"), count, near, body)
    inside = group.statement()
    pair = [(group.member, count, count), (loops[-1].loop_var, int(loops[-1].extent), near)]
    if _kind(members[0]) == OUTSIDE:
        inside = _parallel(*pair[1], inside)
        inside = _parallel(*pair[0], inside)
    else:
        inside = _parallel(*pair[0], inside)
        inside = _parallel(*pair[1], _sequence([*group.outside, inside]))
    for loop in reversed(loops[:-1]):
        inside = tirx.For(loop.loop_var, loop.min, loop.extent, _PARALLEL, inside)
    return inside


def _kind(statement: Any) -> int:
    """The value of the annotation, 0 where there is none."""
    is_marked = isinstance(statement, tirx.AttrStmt) and statement.attr_key == MEMBERS
    return int(statement.value) if is_marked else 0


def _parallel(var: Any, extent: int, group: int, body: Any) -> Any:
    notes = {GROUP: tirx.const(group, "int32")}
    return tirx.For(var, 0, extent, _PARALLEL, body, annotations=notes)


@dataclass
class _Group:
    """The statements of one member, while they are rewritten."""

    neighbor: Any  # the innermost loop outside: some of its iterations are in one group
    member: Any
    count: int
    near: int
    body: Any

    def __post_init__(self) -> None:
        parts = top_level(self.body)
        self.parts = [part for part in parts if not isinstance(part, tirx.AllocBuffer)]
        allocated = [part.buffer for part in parts if isinstance(part, tirx.AllocBuffer)]
        members = _sequence([part for part in self.parts if _kind(part)])
        common = [buffer for buffer in allocated if _is_in(buffer, _written(members))]
        own = [buffer for buffer in allocated if not _is_in(buffer, common)]
        self.local = [buffer for buffer in common if self._fits(buffer, common)]
        self.outside = [tirx.AllocBuffer(b) for b in common if not _is_in(b, self.local)]
        self.own = own
        self.new = [
            tirx.decl_buffer(
                (self.near, *buffer.ty.shape),
                str(buffer.ty.dtype),
                buffer.name,
                scope="shared",
                layout=None,
            )
            for buffer in self.local
        ]

    def _fits(self, buffer: Any, common: Sequence[Any]) -> bool:
        return self.near * _bytes(buffer) * len(common) <= _LOCAL_BYTES

    def statement(self) -> Any:
        """All that one member runs."""
        done: list[Any] = [tirx.AllocBuffer(buffer) for buffer in (*self.new, *self.own)]
        written: list[Any] = []
        read: list[Any] = []
        for part in self.parts:
            reads = [b for b in _read(part) if not _is_in(b, self.own)]
            writes = [b for b in _written(part) if not _is_in(b, self.own)]
            conflicts = [b for b in reads if _is_in(b, written)]
            conflicts += [b for b in writes if _is_in(b, [*written, *read])]
            if conflicts:
                done.append(barrier())
                written, read = [], []
            written, read = [*written, *writes], [*read, *reads]
            done.append(self._of_member(part, bool(writes)))
        return self._in_local(_sequence(done))

    def _of_member(self, part: Any, is_seen: bool) -> Any:
        """What a member runs of a statement; others may see what that writes."""
        if not _kind(part):
            first = tirx.EQ(self.member, tirx.const(0, "int32"))
            return tirx.IfThenElse(first, part, None) if is_seen else part
        loop = part.body
        body = substituted(loop.body, [(loop.loop_var, self.member)])
        if int(loop.extent) == self.count:
            return body
        return tirx.IfThenElse(self.member < loop.extent, body, None)

    def _in_local(self, statement: Any) -> Any:
        """The statement with the buffers that members share in local memory."""
        place = self.neighbor % self.near

        def swap(buffer: Any) -> Any:
            return next(
                (n for o, n in zip(self.local, self.new, strict=True) if o.same_as(buffer)), None
            )

        def load(node: Any) -> Any:
            new = swap(node.source)
            return node if new is None else tirx.BufferLoad(new, [place, *node.indices])

        def store(node: Any) -> Any:
            new = swap(node.buffer)
            return (
                node if new is None else tirx.BufferStore(new, node.value, [place, *node.indices])
            )

        return tvm_ffi.structural_map(statement, ((ir.TensorLoad, load), (tirx.BufferStore, store)))


def _read(statement: Any) -> list[Any]:
    return [load.source for load in collect(statement, ir.TensorLoad)]


def _written(statement: Any) -> list[Any]:
    return [store.buffer for store in collect(statement, tirx.BufferStore)]


def _is_in(buffer: Any, buffers: Sequence[Any]) -> bool:
    return any(buffer.same_as(other) for other in buffers)


def _bytes(buffer: Any) -> int:
    bits = int(tvm.DataType(str(buffer.ty.dtype)).bits)
    return math.prod(int(size) for size in buffer.ty.shape) * ((bits + 7) // 8)


def _sequence(statements: Sequence[Any]) -> Any:
    return tirx.SeqStmt(list(statements)) if len(statements) > 1 else statements[0]
