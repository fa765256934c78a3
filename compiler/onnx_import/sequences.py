"""Sequences and optionals, which are gone when a graph is resolved: only tensors are left."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from onnx import GraphProto
from torch import Tensor

from .call import Call, Value
from .scope import Scope
from .structural import structural_op

if TYPE_CHECKING:
    from .resolve import Resolver

MAX_PARTS = 10_000


@structural_op("Identity")
def identity(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    return [call.value(0)]


@structural_op("SequenceEmpty")
def empty_sequence(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    return [Value(call.name, items=[])]


@structural_op("SequenceConstruct")
def construct_sequence(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    return [Value(call.name, items=[call.value(i) for i in range(len(call.inputs))])]


@structural_op("SequenceAt")
def item_of_sequence(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    items = _items(call, 0)
    return [items[_place(call, len(items))]]


@structural_op("SequenceLength")
def length_of_sequence(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    return [resolver.make.number(call.name, np.array(len(_items(call, 0))))]


@structural_op("SequenceInsert")
def insert_into_sequence(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    items = list(_items(call, 0))
    place = len(items)
    if call.has(2) and call.known_ints(2, "the position")[0] != len(items):
        place = _place(call, len(items), 2)  # negative ones count from the last item, not behind it
    items.insert(place, call.value(1))
    return [Value(call.name, items=items)]


@structural_op("SequenceErase")
def erase_from_sequence(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    items = list(_items(call, 0))
    if not items:
        raise call.refused("the sequence is empty")
    del items[_place(call, len(items)) if call.has(1) else -1]
    return [Value(call.name, items=items)]


@structural_op("SequenceMap")
def map_sequence(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    body = call.needed("body")
    if not isinstance(body, GraphProto) or len(body.input) != len(call.inputs):
        raise call.refused("the inputs of its body are not those of the node")
    count, rows = len(_items(call, 0)), []
    for index in range(count):
        given: dict[str, Value | None] = {}
        for position, declared in enumerate(body.input):
            value = call.value(position)
            if value.items is not None and len(value.items) != count:
                raise call.refused("its sequences have different lengths")
            given[declared.name] = value if value.items is None else value.items[index]
        rows.append(resolver.run_graph(body, scope.inner(f"{call.name}/{index}/"), given))
    return [
        Value(call.name, items=[row[output] for row in rows]) for output in range(len(body.output))
    ]


@structural_op("SplitToSequence")
def split_to_sequence(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    x, axis = call.tensor(0), call.attribute("axis", 0)
    if not -x.dim() <= axis < x.dim():
        raise call.refused(f"axis {axis} of {x.dim()}")
    keeps = call.has(1) or bool(call.attribute("keepdims", 1))
    sizes = call.known_ints(1, "the sizes of the parts") if call.has(1) else [1]
    if not call.has(1) or call.known(1).ndim == 0:
        if sizes[0] < 1:
            raise call.refused(f"parts of {sizes[0]}")
        whole, rest = divmod(x.shape[axis], sizes[0])
        if whole > MAX_PARTS:
            raise call.refused(f"more than {MAX_PARTS} parts")
        sizes = sizes * whole + ([rest] if rest else [])
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 0:
        raise call.refused(f"parts of {sizes} for {x.shape[axis]}")
    items, start = [], 0
    for size in sizes:
        items.append(_part(resolver, call, axis, start, size, keeps))
        start += size
    return [Value(call.name, items=items)]


@structural_op("ConcatFromSequence")
def join_sequence(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    axis, is_new = call.needed("axis"), bool(call.attribute("new_axis", 0))

    def join(call: Call) -> Tensor:
        return (torch.stack if is_new else torch.cat)(call.tensors(), axis)

    return [resolver.apply_one(join, call, _items(call, 0))]


@structural_op("Optional")
def optional(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    return [call.value(0) if call.has(0) else Value(call.name)]


@structural_op("OptionalHasElement")
def is_optional_full(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    is_full = call.has(0) and not _is_empty(call.value(0))
    return [resolver.make.number(call.name, np.array(is_full))]


@structural_op("OptionalGetElement")
def content_of_optional(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    if _is_empty(call.value(0)):
        raise call.refused(f"{call.value(0).name} is empty")
    return [call.value(0)]


def _is_empty(value: Value) -> bool:
    return value.tensor is None and value.items is None and value.known is None


def _items(call: Call, index: int) -> list[Value]:
    items = call.value(index).items
    if items is None:
        raise call.refused(f"input {index}, {call.value(index).name}, is no sequence")
    return items


def _place(call: Call, length: int, index: int = 1) -> int:
    """A known position in a sequence, counted from its front."""
    place = call.known_ints(index, "the position")[0]
    if not -length <= place < length:
        raise call.refused(f"position {place} of {length}")
    return place % length


def _part(resolver: "Resolver", call: Call, axis: int, start: int, size: int, keeps: bool) -> Value:
    def part(call: Call) -> Tensor:
        found = torch.narrow(call.tensor(0), axis, start, size)
        return found if keeps else found.squeeze(axis)

    return resolver.apply_one(part, call, [call.value(0)])
