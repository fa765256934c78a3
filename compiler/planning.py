"""Where every buffer of a lowered program lives: arena offsets, output buffers, final copies."""

from collections.abc import Iterator
from dataclasses import dataclass

from .lowering.program import Call, Lowered
from .placement import Block, peak_bytes, place

ARENA_ALIGN = 64  # bytes: one cache line, and the widest vector of any target
_GIVEN = ("input", "constant")  # kinds whose bytes exist before the first call


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """The home of every value that a kernel touches, aliases included.

    A value is in exactly one place: `offsets` (the arena), `direct` (the caller's buffer of that
    output), or, when its storage is an input or a constant, in neither.
    """

    offsets: dict[str, int]  # value -> bytes from the start of the arena
    direct: dict[str, int]  # value -> position of the output whose buffer holds it
    copies: tuple[tuple[str, int], ...]  # (value, output position), after the last call
    arena_bytes: int
    lower_bound_bytes: int  # the most bytes live at once: no plan can need less
    live: dict[str, tuple[int, int]]  # arena value -> first and last call that needs it


def plan_memory(lowered: Lowered) -> MemoryPlan:
    """Place all intermediates and workspaces of `lowered`.

    Raises:
        ValueError: The program is malformed: a kernel writes an input or a constant, or reads a
            value that nothing has written yet, or an output is never written.
    """
    storage = {name: lowered.storage_of(name) for name in lowered.values}
    direct, copies = _place_outputs(lowered, storage)
    live = _liveness(lowered, storage, direct)
    shared = _shared_storage(lowered, storage, live)
    packing = _pack(lowered, live, shared)
    bound = packing.bound
    if packing.total > bound and shared:  # sharing ties blocks together: now and then packs worse
        packing = min(packing, _pack(lowered, live, {}), key=lambda packing: packing.total)
    offsets = packing.offsets
    return MemoryPlan(
        offsets={name: offsets[root] for name, root in storage.items() if root in offsets},
        direct={name: direct[root] for name, root in storage.items() if root in direct},
        copies=copies,
        arena_bytes=packing.total,
        lower_bound_bytes=bound,
        live={name: live[root] for name, root in storage.items() if root in live},
    )


def _place_outputs(
    lowered: Lowered, storage: dict[str, str]
) -> tuple[dict[str, int], tuple[tuple[str, int], ...]]:
    """Which storage is the caller's buffer of an output, and which outputs need a copy instead."""
    direct: dict[str, int] = {}
    copies: list[tuple[str, int]] = []
    for position, name in enumerate(lowered.outputs):
        root = storage[name]
        if lowered.values[root].kind in _GIVEN or root in direct:
            copies.append((name, position))
        else:
            direct[root] = position
    return direct, tuple(copies)


def _liveness(
    lowered: Lowered, storage: dict[str, str], direct: dict[str, int]
) -> dict[str, tuple[int, int]]:
    """First and last call of every storage that needs room in the arena."""
    live: dict[str, tuple[int, int]] = {}
    written = {name for name, value in lowered.values.items() if value.kind in _GIVEN}
    for step, call in enumerate(lowered.calls):
        for name in call.reads:
            if storage[name] not in written:
                raise ValueError(f"{call.kernel} (call {step}) reads {name} before it is written")
        for name in call.writes:
            if lowered.values[storage[name]].kind in _GIVEN:
                raise ValueError(f"{call.kernel} (call {step}) writes {name}, which is read-only")
            written.add(storage[name])
        for root in (storage[name] for name in call.arguments):
            if lowered.values[root].kind not in _GIVEN and root not in direct:
                live[root] = (live.get(root, (step, step))[0], step)
    for name in lowered.outputs:
        if storage[name] not in written:
            raise ValueError(f"output {name} is never written")
    return live


def _shared_storage(
    lowered: Lowered, storage: dict[str, str], live: dict[str, tuple[int, int]]
) -> dict[str, str]:
    """Written storage -> the storage it overwrites in place, followed to the first one."""
    shared: dict[str, str] = {}
    for step, call in enumerate(lowered.calls):
        used: set[str] = set()
        for read, write in _inplace_pairs(call, storage):
            source, result = storage[read], storage[write]
            ends_here = live.get(source, (-1, -1))[1] == step
            starts_here = live.get(result, (-1, -1))[0] == step
            same_size = _padded(lowered, source) == _padded(lowered, result)
            if ends_here and starts_here and same_size and not {source, result} & used:
                shared[result] = shared.get(source, source)
                used |= {source, result}
    return shared


def _inplace_pairs(call: Call, storage: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Pairs (read, write) where every read of that storage may be overwritten by that result."""
    allowed = {pair for pair in call.inplace if _starts_alike(call, *pair)}
    for read, write in call.inplace:
        root = storage[call.reads[read]]
        same = [index for index, name in enumerate(call.reads) if storage[name] == root]
        if all((index, write) in allowed for index in same):
            yield call.reads[read], call.writes[write]


def _starts_alike(call: Call, read: int, write: int) -> bool:
    """Whether the kernel's part of both values begins at the same place."""
    return not call.offsets or call.offsets[read] == call.offsets[len(call.reads) + write]


@dataclass(frozen=True)
class _Packing:
    offsets: dict[str, int]
    total: int
    bound: int


def _pack(lowered: Lowered, live: dict[str, tuple[int, int]], shared: dict[str, str]) -> _Packing:
    """Place every storage, those that share their bytes as one block."""
    groups: dict[str, Block] = {}
    for root, (first, last) in live.items():
        leader = shared.get(root, root)
        group = groups.get(leader)
        groups[leader] = Block(
            size=_padded(lowered, root),
            first=first if group is None else min(first, group.first),
            last=last if group is None else max(last, group.last),
        )
    blocks = tuple(groups.values())
    placed = place(blocks)
    offset_of = dict(zip(groups, placed.offsets, strict=True))
    offsets = {root: offset_of[shared.get(root, root)] for root in live}
    return _Packing(offsets, placed.total, peak_bytes(blocks))


def _padded(lowered: Lowered, name: str) -> int:
    return -(-lowered.values[name].spec.nbytes // ARENA_ALIGN) * ARENA_ALIGN
