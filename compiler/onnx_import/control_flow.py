"""If, Loop and Scan: followed where the graph says which way they go, and unrolled.

A condition that depends on the inputs chooses between values instead: both branches are calculated,
and so are all iterations of a loop, whose results then only count while its condition held.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from onnx import GraphProto
from torch import Tensor

from .call import Call, Value
from .loop_results import Stack
from .scope import Scope
from .structural import structural_op

if TYPE_CHECKING:
    from .resolve import Resolver

# Which operand may stop an operator, or have it read outside of another, if it is not meant for it.
_RISKY_OPERANDS = {
    "Div": 1,
    "EmbedLayerNormalization": 0,
    "Gather": 1,
    "GatherElements": 1,
    "GatherND": 1,
    "MaxUnpool": 1,
    "Mod": 1,
    "NegativeLogLikelihoodLoss": 1,
    "Scatter": 1,
    "ScatterElements": 1,
    "ScatterND": 1,
    "SoftmaxCrossEntropyLoss": 1,
    "TensorScatter": 2,
}


@structural_op("If")
def choose_branch(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    branches = {name: _graph(call, f"{name}_branch") for name in ("then", "else")}

    def results(name: str) -> list[Value]:
        return resolver.run_graph(branches[name], scope.inner(f"{call.name}/{name}/"), {})

    if call.is_known(0):
        return results("then" if _truth(call.known(0)) else "else")
    before = len(resolver.steps.steps)
    pairs = results("then"), results("else")
    _check_both_ways(resolver, call, before)
    if len(pairs[0]) != len(pairs[1]):
        raise call.refused("its branches give different numbers of results")
    condition = call.value(0)
    return [_select(resolver, call, condition, a, b) for a, b in zip(*pairs, strict=True)]


@structural_op("Loop")
def unroll_loop(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    body = _graph(call, "body")
    count = _trip_count(call)
    carried = [call.value(index) for index in range(2, len(call.inputs))]
    active = call.value(1) if call.has(1) else resolver.make.number("", np.array(True))
    if len(body.input) != len(carried) + 2 or len(body.output) <= len(carried):
        raise call.refused("the inputs of its body are not those of the node")
    stacks = [Stack(call, output) for output in body.output[len(carried) + 1 :]]
    before, iteration = len(resolver.steps.steps), 0
    while iteration < count:
        if active.is_known and not _truth(active.numbers()):
            break
        given = [resolver.make.number("", np.array(iteration)), active, *carried]
        names = [value.name for value in body.input]
        inner = scope.inner(f"{call.name}/{iteration}/")
        goes_on, *results = resolver.run_graph(body, inner, dict(zip(names, given, strict=True)))
        computed, rows = results[: len(carried)], results[len(carried) :]
        if active.is_known:
            carried, active = computed, goes_on
        else:
            if count == np.inf or stacks:
                raise call.refused("how often it runs depends on the inputs of the model")
            _check_both_ways(resolver, call, before)
            pairs = zip(computed, carried, strict=True)
            carried = [_select(resolver, call, active, new, old) for new, old in pairs]
            active = resolver.apply_one(_both, call, [active, goes_on])
        for stack, row in zip(stacks, rows, strict=True):
            stack.rows.append(row)
        iteration += 1
    return [*carried, *(stack.value(resolver) for stack in stacks)]


@structural_op("Scan")
def unroll_scan(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    if call.opset < 9:
        return _scan_of_batches(resolver, call, scope)
    values = [call.value(index) for index in range(len(call.inputs))]
    return _scan(resolver, call, scope, values)


def _scan_of_batches(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    """Scan of operator set 8: every input has a batch on axis 0, which is scanned one by one."""
    if call.has(0):
        raise call.refused("sequence_lens is given")
    values = [call.value(index) for index in range(1, len(call.inputs))]
    directions = call.attributes.get("directions", [])
    attributes = {**call.attributes, "scan_input_directions": directions}
    single = Call("Scan", call.name, call.opset, values, attributes, call.output_count)
    batches = _size(single, values[0], 0)
    results = [
        _scan(resolver, single, scope, [_taken(resolver, call, v, 0, batch) for v in values])
        for batch in range(batches)
    ]
    stacks = [Stack(call, None, rows=list(rows)) for rows in zip(*results, strict=True)]
    return [stack.value(resolver) for stack in stacks]


def _scan(resolver: "Resolver", call: Call, scope: Scope, values: Sequence[Value]) -> list[Value]:
    body, scanned_count = _graph(call, "body"), call.needed("num_scan_inputs")
    split = len(values) - scanned_count
    if split < 0 or scanned_count < 1 or len(body.input) != len(values) or len(body.output) < split:
        raise call.refused("the inputs of its body are not those of the node")
    states, scanned = list(values[:split]), values[split:]
    axes = _list(call, "scan_input_axes", len(scanned))
    backwards = _list(call, "scan_input_directions", len(scanned))
    outputs = body.output[split:]
    stacks = [
        Stack(call, output, axis, bool(backward))
        for output, axis, backward in zip(
            outputs,
            _list(call, "scan_output_axes", len(outputs)),
            _list(call, "scan_output_directions", len(outputs)),
            strict=True,
        )
    ]
    lengths = {_size(call, value, axis) for value, axis in zip(scanned, axes, strict=True)}
    if len(lengths) != 1:
        raise call.refused(f"its inputs have different lengths: {sorted(lengths)}")
    (length,) = lengths
    for iteration in range(length):
        places = [length - 1 - iteration if back else iteration for back in backwards]
        slices = [
            _taken(resolver, call, value, axis, place)
            for value, axis, place in zip(scanned, axes, places, strict=True)
        ]
        given = zip((value.name for value in body.input), [*states, *slices], strict=True)
        inner = scope.inner(f"{call.name}/{iteration}/")
        results = resolver.run_graph(body, inner, dict(given))
        states = results[:split]
        for stack, row in zip(stacks, results[split:], strict=True):
            stack.rows.append(row)
    return [*states, *(stack.value(resolver) for stack in stacks)]


def _graph(call: Call, name: str) -> GraphProto:
    graph = call.needed(name)
    if not isinstance(graph, GraphProto):
        raise call.refused(f"attribute {name} is no graph")
    return graph


def _truth(array: Any) -> bool:
    return bool(np.asarray(array).reshape(-1)[0])


def _trip_count(call: Call) -> float:
    if not call.has(0):
        return np.inf
    return call.known_ints(0, "the number of iterations")[0]


def _list(call: Call, name: str, count: int) -> list[int]:
    found = call.attribute(name, [0] * count) or [0] * count
    if len(found) != count:
        raise call.refused(f"attribute {name} is {found}, for {count} values")
    return found


def _size(call: Call, value: Value, axis: int) -> int:
    if value.tensor is None or not -value.tensor.dim() <= axis < value.tensor.dim():
        raise call.refused(f"{value.name} has no axis {axis}")
    return int(value.tensor.shape[axis])


def _taken(resolver: "Resolver", call: Call, value: Value, axis: int, place: int) -> Value:
    """One slice of a value, without the axis."""

    def take(call: Call) -> Tensor:
        return torch.select(call.tensor(0), axis, place)

    return resolver.apply_one(take, call, [value])


def _select(
    resolver: "Resolver", call: Call, condition: Value, first: Value, second: Value
) -> Value:
    """The first of two values where the condition holds, else the second."""
    if first is second:
        return first
    if first.items is not None and second.items is not None:
        if len(first.items) != len(second.items):
            raise call.refused("the length of a sequence depends on the inputs of the model")
        pairs = zip(first.items, second.items, strict=True)
        items = [_select(resolver, call, condition, a, b) for a, b in pairs]
        return Value(first.name, items=items)
    if first.tensor is None or second.tensor is None:
        raise call.refused(f"whether {first.name} is a tensor depends on the inputs of the model")
    if first.tensor.shape != second.tensor.shape or first.tensor.dtype != second.tensor.dtype:
        shapes = [f"{str(t.dtype)[6:]}{list(t.shape)}" for t in (first.tensor, second.tensor)]
        raise call.refused(f"its result depends on the inputs and is {shapes[0]} or {shapes[1]}")
    return resolver.apply_one(_where, call, [condition, first, second], first.name)


def _where(call: Call) -> Tensor:
    return torch.where(call.tensor(0).reshape(()), call.tensor(1), call.tensor(2))


def _both(call: Call) -> Tensor:
    return torch.logical_and(call.tensor(0).reshape(()), call.tensor(1).reshape(()))


def _check_both_ways(resolver: "Resolver", call: Call, first_step: int) -> None:
    """Refuse steps that must not be calculated where the model would not calculate them."""
    for step in resolver.steps.steps[first_step:]:
        inner = step.call
        operand = _RISKY_OPERANDS.get(inner.op_type)
        if operand is None or not inner.has(operand) or inner.is_known(operand):
            continue
        if inner.tensor(operand).is_floating_point():
            continue  # division by zero is infinite
        raise call.refused(
            f"whether {inner.name} ({inner.op_type}) is calculated depends on the inputs of the"
            " model, and it may fail where it is not meant to be"
        )
