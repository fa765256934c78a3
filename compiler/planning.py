"""Where every buffer of a lowered program lives: arena offsets, output buffers, final copies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .lowering.program import Call, Lowered
from .placement import Block, Overlap, Placement, place

ARENA_ALIGN = 64  # bytes: one cache line, and the widest vector of any target
SMALL_ARENA_ALIGN = 8  # bytes: what microcontrollers load at once
_GIVEN = ("input", "constant")  # kinds whose bytes exist before the first call


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """The home of every value that a kernel touches, aliases included.

    A value is in exactly one place: `offsets` (the arena), `direct` (the caller's buffer of that
    output), or, when its storage is an input or a constant, in neither. With inputs in the arena
    they have offsets too.
    """

    offsets: dict[str, int]  # value -> bytes from the start of the arena
    direct: dict[str, int]  # value -> position of the output whose buffer holds it
    copies: tuple[tuple[str, int], ...]  # (value, output position), after the last call
    arena_bytes: int
    lower_bound_bytes: int  # no plan with the same values in place can need less
    live: dict[str, tuple[int, int]]  # arena value -> first and last call that needs it


def plan_memory(
    lowered: Lowered,
    *,
    align: int = ARENA_ALIGN,
    inputs_in_arena: bool = False,
    good_enough: int = 0,
) -> MemoryPlan:
    """Place all intermediates and workspaces of `lowered`.

    Args:
        lowered: The program.
        align: Bytes; of every offset.
        inputs_in_arena: The caller puts the inputs into the arena, where they are overwritten once
            they are read.
        good_enough: Size of the arena at which to stop looking for a smaller one.

    Raises:
        ValueError: The program is malformed: a kernel writes an input or a constant, or reads a
            value that nothing has written yet, or an output is never written.
    """
    storage = {name: lowered.storage_of(name) for name in lowered.values}
    direct, copies = _place_outputs(lowered, storage)
    live = _liveness(lowered, storage, direct, inputs_in_arena)
    packer = _Packer(lowered, storage, live, align, good_enough)
    shared = packer.shared_storage()
    offsets, packing = packer.pack(shared)
    bound = packing.bound
    if packing.total > bound and shared:  # sharing ties blocks together: now and then packs worse
        apart = packer.pack({})
        offsets, packing = apart if apart[1].total < packing.total else (offsets, packing)
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
    lowered: Lowered, storage: dict[str, str], direct: dict[str, int], inputs_in_arena: bool
) -> dict[str, tuple[int, int]]:
    """First and last call of every storage that needs room in the arena; -1 = before all calls."""
    live = {storage[name]: (-1, -1) for name in lowered.inputs if inputs_in_arena}
    elsewhere = ("constant",) if inputs_in_arena else _GIVEN
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
            if lowered.values[root].kind not in elsewhere and root not in direct:
                live[root] = (live.get(root, (step, step))[0], step)
    for name in lowered.outputs:
        if storage[name] not in written:
            raise ValueError(f"output {name} is never written")
        if storage[name] in live:  # copied out after the last call
            live[storage[name]] = (live[storage[name]][0], len(lowered.calls))
    return live


@dataclass(frozen=True)
class Lead:
    """How far before its source a result may start: so many bytes, or more unless it is exact."""

    bytes: int
    exact: bool

    def overlap(self, source: int, result: int) -> Overlap:
        """The same of two blocks."""
        return Overlap(source=source, result=result, lead=self.bytes, exact=self.exact)


def padded(size: int, align: int) -> int:
    """The multiple of `align` at or above `size`."""
    return -(-size // align) * align


@dataclass(frozen=True)
class _Packer:
    """Places storages, given when each is needed."""

    lowered: Lowered
    storage: dict[str, str]
    live: dict[str, tuple[int, int]]
    align: int
    good_enough: int

    def shared_storage(self) -> dict[str, str]:
        """Written storage -> the storage it overwrites in place, followed to the first one."""
        shared: dict[str, str] = {}
        for step, call in enumerate(self.lowered.calls):
            used: set[str] = set()
            for read, write in _inplace_pairs(call, self.storage):
                source, result = self.storage[read], self.storage[write]
                same_size = self._size(source) == self._size(result)
                meet = self._meet(source, result, step)
                if meet and same_size and not {source, result} & used:
                    shared[result] = shared.get(source, source)
                    used |= {source, result}
        return shared

    def pack(self, shared: dict[str, str]) -> tuple[dict[str, int], Placement]:
        """An offset for every storage; those that share their bytes are one block."""
        groups: dict[str, Block] = {}
        for root, (first, last) in self.live.items():
            leader = shared.get(root, root)
            group = groups.get(leader)
            groups[leader] = Block(
                size=self._size(root),
                first=first if group is None else min(first, group.first),
                last=last if group is None else max(last, group.last),
            )
        number = {leader: index for index, leader in enumerate(groups)}
        overlaps = []
        for source, result, lead in self._leads():
            old, new = shared.get(source, source), shared.get(result, result)
            if groups[old].last == groups[new].first:  # nothing shares the source's bytes later
                overlaps.append(lead.overlap(number[old], number[new]))
        placed = place(tuple(groups.values()), overlaps, good_enough=self.good_enough)
        offset_of = dict(zip(groups, placed.offsets, strict=True))
        return {root: offset_of[shared.get(root, root)] for root in self.live}, placed

    def _leads(self) -> Iterator[tuple[str, str, Lead]]:
        """Sources, results that may share their memory, and how."""
        for step, call in enumerate(self.lowered.calls):
            for (source, result), lead in leads_of(call, self.storage, self.align).items():
                if self._meet(source, result, step):
                    yield source, result, lead

    def _meet(self, source: str, result: str, step: int) -> bool:
        """Whether a call reads one storage for the last and writes the other for the first time."""
        ends_here = self.live.get(source, (-1, -1))[1] == step
        return ends_here and self.live.get(result, (-1, -1))[0] == step

    def _size(self, root: str) -> int:
        return padded(self.lowered.values[root].spec.nbytes, self.align)


def leads_of(call: Call, storage: Mapping[str, str], align: int) -> dict[tuple[str, str], Lead]:
    """Storage read and storage written -> how a call lets them share memory."""
    found: dict[tuple[str, str], list[int | None]] = {}
    for index, read in enumerate(call.reads if call.leads else ()):
        known = index < len(call.leads) and _starts_alike(call, index, 0)
        pair = storage[read], storage[call.writes[0]]
        found.setdefault(pair, []).append(call.leads[index] if known else None)
    shared: dict[tuple[str, str], Lead] = {}
    for pair, leads in found.items():
        certain = [lead for lead in leads if lead is not None]
        lead = _least_lead(certain, call.lead_unit, align) if len(certain) == len(leads) else None
        if lead is not None:
            shared[pair] = lead
    return shared


def _least_lead(leads: Sequence[int], unit: int, align: int) -> Lead | None:
    """The least aligned distance that a layer with such leads allows; None = there is none."""
    least = padded(max(0, *leads, 0), align)
    if align % unit == 0 and all(lead % unit == 0 for lead in leads):
        return Lead(least, exact=False)
    for distance in range(least, least + align * unit, align):
        if all((distance - lead) % unit == 0 for lead in leads):
            return Lead(distance, exact=True)
    return None


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
