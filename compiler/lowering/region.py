"""One fused region -> one unscheduled PrimFunc, and the buffers it wants as arguments."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.fx import Node
from torch.fx.node import map_arg
from tvm import te

from ...targets.target import Target
from ..errors import CompileError, UnsupportedOp
from ..ir.program import node_spec, node_specs, origin_of
from ..ir.regions import Region
from ..ir.tensor_spec import TensorSpec
from . import rules as rules  # registers every rule
from .builder import Array, KernelBuilder
from .registry import RULES


@dataclass(frozen=True)
class Argument:
    """What the caller passes for one pointer parameter of a kernel.

    Exactly one of: an input of the region, a weight among them in packed form (`transform`), or a
    table that the kernel brings along.
    """

    spec: TensorSpec
    region_input: int = -1
    transform: Callable[[Array], Array] | None = None
    table: Array | None = None


@dataclass(frozen=True)
class RegionFunc:
    """A region as TE stages: parameters are `arguments`, then one buffer for each output."""

    func: Any  # tirx.PrimFunc
    arguments: tuple[Argument, ...]
    inspected: tuple[int, ...]  # region inputs whose values decided about the code


def lower_region(region: Region, target: Target, weights: Mapping[Node, Array]) -> RegionFunc:
    """Apply the rule of every op of the region.

    Args:
        region: What becomes one kernel.
        target: The core it is compiled for.
        weights: Values of those inputs that are constants.

    Raises:
        UnsupportedOp: No rule covers an op.
        CompileError: A rule refuses what it was given.
    """
    places = {node: _placeholder(node, index) for index, node in enumerate(region.inputs)}
    builder = KernelBuilder(target, {places[node]: value for node, value in weights.items()})
    values: dict[Node, Any] = dict(places)
    for node in region.nodes:
        values[node] = _apply_rule(node, values, builder)
    outputs = [_own_buffer(values[node], index) for index, node in enumerate(region.outputs)]
    given = [
        (places[node], Argument(node_spec(node), region_input=index))
        for index, node in enumerate(region.inputs)
    ]
    made = [(p.tensor, _packed_argument(p, places, region)) for p in builder.packed]
    used = _reachable(outputs)
    arguments = [(t, a) for t, a in [*given, *made] if any(t.same_as(u) for u in used)]
    inspected = (i for i, n in enumerate(region.inputs) if _is_in(places[n], builder.inspected))
    func = te.create_prim_func([*(tensor for tensor, _ in arguments), *outputs])
    return RegionFunc(func, tuple(a for _, a in arguments), tuple(inspected))


def _apply_rule(node: Node, values: Mapping[Node, Any], builder: KernelBuilder) -> Any:
    if node.target is operator.getitem:
        source, index = node.args
        return values[source][index]  # type: ignore[index]
    entry = RULES.get(node.target)  # type: ignore[call-overload]
    if entry is None:
        raise UnsupportedOp(str(node.target), at=str(origin_of(node)), got=_signature(node))
    specs = node_specs(node)
    extras = {"out": specs, "kernel": builder}
    args = map_arg(node.args, values.__getitem__)
    kwargs = map_arg(node.kwargs, values.__getitem__)
    try:
        result = entry.rule(*args, **kwargs, **{name: extras[name] for name in entry.wants})
    except CompileError as error:
        raise CompileError(
            error.what, at=str(origin_of(node)), got=error.got or _signature(node), fix=error.fix
        ) from error
    except Exception as error:
        raise CompileError(
            f"the lowering rule of {node.target} failed: {type(error).__name__}: {error}",
            at=str(origin_of(node)),
            got=_signature(node),
            fix="report the op with these shapes, or replace it in the model",
        ) from error
    _check(node, specs, result)
    return result


def _check(node: Node, specs: Any, result: Any) -> None:
    pairs = zip(specs, result, strict=True) if isinstance(specs, tuple) else [(specs, result)]
    for spec, tensor in pairs:
        if tensor is None:
            continue  # a result of the op that nothing reads
        got = TensorSpec(tuple(int(size) for size in tensor.shape), str(tensor.dtype))
        if got != spec:
            raise CompileError(
                f"the lowering rule of {node.target} gives {got} where torch gives {spec}",
                at=str(origin_of(node)),
                got=_signature(node),
                fix="a bug in the rule, not in the model",
            )


def _signature(node: Node) -> str:
    """The op with the types of its inputs and outputs."""
    inputs = ", ".join(str(node_specs(source)) for source in node.all_input_nodes)
    specs = node_specs(node)
    outputs = ", ".join(map(str, specs)) if isinstance(specs, tuple) else str(specs)
    return f"{node.target}({inputs}) -> {outputs}"


def _placeholder(node: Node, index: int) -> Any:
    spec = node_spec(node)
    return te.placeholder(spec.shape, spec.dtype, name=f"input{index}")


def _own_buffer(tensor: Any, index: int) -> Any:
    """The tensor itself if a kernel can store it, else a copy of it."""
    if isinstance(tensor.op, te.PlaceholderOp):
        return te.compute(tensor.shape, lambda *at: tensor(*at), name=f"output{index}")
    return tensor


def _packed_argument(packed: Any, places: Mapping[Node, Any], region: Region) -> Argument:
    spec = TensorSpec(tuple(packed.data.shape), str(packed.tensor.dtype))
    if packed.source is None:
        return Argument(spec, table=packed.data)
    source = next(i for i, n in enumerate(region.inputs) if places[n].same_as(packed.source))
    return Argument(spec, region_input=source, transform=packed.transform)


def _reachable(outputs: Sequence[Any]) -> list[Any]:
    """Every tensor the outputs are computed from."""
    found: list[Any] = []
    seen: set[Any] = set()
    todo = list(outputs)
    while todo:
        tensor = todo.pop()
        key = tensor.op
        if isinstance(key, te.PlaceholderOp):
            found.append(tensor)
        if key not in seen:
            seen.add(key)
            todo.extend(key.input_tensors)
    return found


def _is_in(tensor: Any, tensors: Sequence[Any]) -> bool:
    return any(tensor.same_as(other) for other in tensors)


def weight_array(tensor: torch.Tensor) -> Array:
    """A weight as a dense numpy array, bfloat16 as uint16."""
    dense = tensor.detach().contiguous()
    if dense.dtype == torch.bfloat16:
        return np.asarray(dense.view(torch.uint16).numpy())
    return np.asarray(dense.numpy())
