"""Accesses far apart from each other -> accesses near one of a few pointers.

A load or store of ARMv8 reaches 4095 vectors from its pointer (Arm ARM DDI 0487, C6.2, LDR and STR
with an unsigned offset). LLVM keeps every other distance of straight code in a register of its own,
and computes them again and again where there are too many.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import DataType, ir, tirx

from ..target import Target
from .stages import collect

REACH_BYTES = 4096 * 16
MANY = 16  # accesses from which a few more pointers pay
_KINDS = (ir.TensorLoad, tirx.BufferStore)


def use_near_pointers(func: Any, target: Target) -> Any:
    """Access what the straight code of a loop accesses from pointers that reach it.

    Needs unrolled loops, flat buffers and simplified indices, in which a constant comes last.
    """
    if not target.triple.startswith("aarch64") or not _may_be_wide(_accesses(func.body)):
        return func
    body = tvm_ffi.structural_map(func.body, (tirx.For, _rewrite))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


@dataclass(frozen=True)
class _Access:
    """A vector of a buffer: `start` + a constant distance, in elements."""

    source: Any
    start: Any
    distance: int

    @classmethod
    def of(cls, node: Any) -> "_Access | None":
        source = node.buffer if isinstance(node, tirx.BufferStore) else node.source
        if source.scope() != "global" or not isinstance(node.indices[0], tirx.Ramp):
            return None
        base = node.indices[0].base
        if isinstance(base, tirx.Add) and isinstance(base.b, tirx.IntImm):
            return cls(source, base.a, int(base.b))
        return cls(source, base, 0)

    @property
    def key(self) -> tuple[str, str]:
        """The same for accesses at constant distances from each other."""
        return str(self.source.name), str(self.start)

    @property
    def reach(self) -> int:
        """Elements that one pointer reaches."""
        return REACH_BYTES * 8 // int(DataType(str(self.source.ty.dtype)).bits)


@dataclass(frozen=True)
class _Near:
    """A buffer that begins at an element of another one."""

    buffer: Any
    offset: int  # distance of its first element
    statements: list[Any]  # that declare it


def _accesses(statement: Any) -> list[_Access]:
    nodes = (found for kind in _KINDS for found in collect(statement, kind))
    return [access for access in map(_Access.of, nodes) if access is not None]


def _may_be_wide(accesses: list[_Access]) -> bool:
    """Whether constant distances in some buffer are out of a pointer's reach: quick to see."""
    distances: dict[Any, list[int]] = defaultdict(list)
    for access in accesses:
        distances[access.source].append(access.distance)
    reach = {access.source: access.reach for access in accesses}
    return any(max(found) - min(found) >= reach[source] for source, found in distances.items())


def _rewrite(loop: Any) -> Any:
    """The loop with every run of statements that are no loops rewritten."""
    flat = isinstance(loop.body, tirx.SeqStmt)
    statements, run = [], []
    for statement in [*(loop.body.seq if flat else [loop.body]), None]:
        if statement is not None and not _has_loop(statement):
            run.append(statement)
            continue
        statements += _straight_code(run)
        run = []
        if statement is not None:
            statements.append(statement)
    body = tirx.SeqStmt(statements) if len(statements) > 1 else statements[0]
    return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, body)


def _has_loop(statement: Any) -> bool:
    return isinstance(statement, tirx.For) or bool(collect(statement, tirx.For))


def _straight_code(statements: list[Any]) -> list[Any]:
    accesses = [access for statement in statements for access in _accesses(statement)]
    if not _may_be_wide(accesses):
        return statements
    groups: dict[tuple[str, str], list[_Access]] = defaultdict(list)
    for access in accesses:
        groups[access.key].append(access)
    pointers = {key: _pointers(found) for key, found in groups.items() if _is_wide(found)}
    if not pointers:
        return statements

    def moved(node: Any) -> Any:
        access = _Access.of(node)
        if access is None or access.key not in pointers:
            return node
        near = max(
            (near for near in pointers[access.key] if near.offset <= access.distance),
            key=lambda near: near.offset,
        )
        ramp = node.indices[0]
        place = [tirx.Ramp(access.distance - near.offset, ramp.stride, ramp.lanes)]
        if isinstance(node, tirx.BufferStore):
            return tirx.BufferStore(near.buffer, node.value, place)
        return tirx.BufferLoad(near.buffer, place)

    declared = [s for group in pointers.values() for near in group for s in near.statements]
    callbacks = tuple((kind, moved) for kind in _KINDS)
    return [*declared, *(tvm_ffi.structural_map(s, callbacks) for s in statements)]


def _is_wide(found: list[_Access]) -> bool:
    distances = [access.distance for access in found]
    return len(found) >= MANY and max(distances) - min(distances) >= found[0].reach


def _pointers(found: list[_Access]) -> list[_Near]:
    """One pointer for each stretch in which something is accessed."""
    one = found[0]
    first = min(access.distance for access in found)
    used: Iterable[int] = sorted({(access.distance - first) // one.reach for access in found})
    return [_near(one.source, one.start, first + number * one.reach) for number in used]


def _near(source: Any, start: Any, offset: int) -> _Near:
    kind = ir.PointerType(ir.PrimType(str(source.ty.dtype)), "global")
    pointer = ir.Var(f"{source.name}_near", kind)
    size = max(1, int(source.ty.shape[0]) - offset)
    buffer = tirx.decl_buffer((size,), str(source.ty.dtype), name=f"{source.name}_at", data=pointer)
    there = tirx.address_of(tirx.BufferLoad(source, [start + offset]))
    # LLVM would see through a plain sum; this it drops only after it has chosen its registers.
    plain = tirx.call_llvm_pure_intrin("handle", "llvm.strip.invariant.group", there)
    hidden = ir.Call(plain.op, list(plain.args), ret_ty=kind)
    return _Near(
        buffer, offset, [tirx.Bind(pointer, hidden), tirx.DeclBuffer(buffer, data=pointer)]
    )
