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

from ...targets.cpu.flatten import dense_strides
from ...targets.target import Target
from ..errors import CompileError, UnsupportedOp
from ..ir.layout import Layout, channels_last_shape
from ..ir.program import node_spec, node_specs, origin_of
from ..ir.regions import Region
from ..ir.tensor_spec import TensorSpec
from . import rules as rules  # registers every rule
from .builder import Array, KernelBuilder, View
from .options import KernelOptions
from .registry import RULES
from .rules.origins import written_in_place
from .sharing import product_rows

Layouts = Mapping[Node, Layout]  # of the values that are stored channels last


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
    strides: tuple[int, ...] = ()  # of `spec.shape` in the input's buffer; default: dense
    offset: int = 0  # of the first element in the input's buffer


@dataclass(frozen=True)
class RegionFunc:
    """A region as TE stages: parameters are `arguments`, then one buffer for each output.

    Images with a border are passed without it: the attribute "strides" of the function has the
    elements from one index to the next for each such parameter, by its position.
    """

    func: Any  # tirx.PrimFunc
    arguments: tuple[Argument, ...]
    inspected: tuple[int, ...]  # region inputs whose values decided about the code
    wishes: dict[int, list[Layout]]  # how the rules would like region inputs to be stored
    makes_images: bool  # whether the results are best stored channels last


def lower_region(
    region: Region,
    target: Target,
    weights: Mapping[Node, Array],
    layouts: Layouts,
    options: KernelOptions,
) -> RegionFunc:
    """Apply the rule of every op of the region.

    Args:
        region: What becomes one kernel.
        target: The core it is compiled for.
        weights: Values of those inputs that are constants.
        layouts: Inputs and outputs that are stored channels last.
        options: What the user chose about the kernels.

    Raises:
        UnsupportedOp: No rule covers an op.
        CompileError: A rule refuses what it was given.
    """
    inputs = [_Input.of(node, index, layouts.get(node)) for index, node in enumerate(region.inputs)]
    constants = {entry.tensor: weights[entry.node] for entry in inputs if entry.node in weights}
    images = {entry.tensor: layouts[entry.node] for entry in inputs if entry.node in layouts}
    products = [
        (entry.tensor, product_rows(entry.node)) for entry in inputs if entry.node in weights
    ]
    builder = KernelBuilder(target, constants, options, images, products)
    values: dict[Node, Any] = {entry.node: entry.tensor for entry in inputs}
    for node in region.nodes:
        builder.result_axes = _axes_afterwards(node, region)
        values[node] = _apply_rule(node, values, builder)
    outputs = [
        stored_output(values[node], layouts.get(node), builder.makes_images, index)
        for index, node in enumerate(region.outputs)
    ]
    given = [(entry.placeholder, entry.argument) for entry in inputs]
    seen = [(view.tensor, _view_argument(view, inputs)) for view in builder.views]
    made = [(p.tensor, _packed_argument(p, inputs)) for p in builder.packed]
    used = _reachable(outputs)
    pairs = [(t, a) for t, a in [*given, *seen, *made] if any(t.same_as(u) for u in used)]
    func = te.create_prim_func([*(tensor for tensor, _ in pairs), *outputs])
    arguments = tuple(argument for _, argument in pairs)
    strides = _strides(region, arguments, layouts)
    return RegionFunc(
        func=func.with_attr("strides", strides) if strides else func,
        arguments=arguments,
        inspected=tuple(_places(builder.inspected, inputs)),
        wishes=_by_input(builder.wishes, inputs),
        makes_images=builder.makes_images,
    )


@dataclass(frozen=True)
class _Input:
    """A value that a region reads, and the placeholder that stands for it."""

    node: Node
    tensor: Any  # as the rules see it
    placeholder: Any  # as it lies in memory, without a border
    argument: Argument

    @classmethod
    def of(cls, node: Node, index: int, layout: Layout | None) -> "_Input":
        spec, name = node_spec(node), f"input{index}"
        if layout is None:
            tensor = te.placeholder(spec.shape, spec.dtype, name=name)
            return cls(node, tensor, tensor, Argument(spec, region_input=index))
        stored = TensorSpec(channels_last_shape(spec.shape), spec.dtype)
        image = te.placeholder(stored.shape, spec.dtype, name=name)
        tensor = te.compute(
            spec.shape, lambda n, c, *space: image(n, *space, c), name=f"image{index}"
        )
        strides, offset = layout.strides(spec.shape), layout.offset(spec.shape)
        argument = Argument(stored, region_input=index, strides=strides, offset=offset)
        return cls(node, tensor, image, argument)


def stored_output(result: Any, layout: Layout | None, makes_images: bool, index: int) -> Any:
    """The stage that stores a result: the tensor itself where a kernel can store it so.

    What computes images makes them channels last; a plain result is then a copy of that.
    """
    name = f"output{index}"
    if layout is not None:
        return _channels_last(result, name, {})
    if makes_images and len(result.shape) > 2:
        image = _channels_last(result, f"image_{name}", {"schedule": "stored"})
        return te.compute(result.shape, lambda n, c, *space: image(n, *space, c), name=name)
    if isinstance(result.op, te.PlaceholderOp):
        return te.compute(result.shape, lambda *at: result(*at), name=name)
    return written_in_place(result)


def _axes_afterwards(node: Node, region: Region) -> list[int] | None:
    """The axes in the order that the only reader of a value inside the region puts them."""
    readers = list(node.users)
    if len(readers) != 1 or readers[0] not in region.nodes:
        return None
    return readers[0].args[1] if readers[0].target is torch.ops.aten.permute.default else None  # type: ignore[return-value]


def _channels_last(result: Any, name: str, notes: dict[str, str]) -> Any:
    shape = channels_last_shape([int(size) for size in result.shape])
    return te.compute(
        shape, lambda n, *rest: result(n, rest[-1], *rest[:-1]), name=name, attrs=notes
    )


def _strides(
    region: Region, arguments: Sequence[Argument], layouts: Layouts
) -> dict[str, list[int]]:
    """Strides of the parameters that are images inside a border, by position."""
    strides: dict[str, list[int]] = {}
    for index, argument in enumerate(arguments):
        if argument.strides and list(argument.strides) != dense_strides(argument.spec.shape):
            strides[str(index)] = list(argument.strides)
    for index, node in enumerate(region.outputs, start=len(arguments)):
        if node in layouts and layouts[node].has_border:
            strides[str(index)] = list(layouts[node].strides(node_spec(node).shape))
    return strides


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
    if node.target is torch.ops.aten._to_copy.default and _is_weight(node.args[0]):
        builder.widen(result, args[0])
    return result


def _is_weight(value: Any) -> bool:
    """Whether a value is a weight of 16 bits."""
    if not isinstance(value, Node) or value.op != "get_attr":
        return False
    return node_spec(value).dtype in ("float16", "bfloat16")


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


def _packed_argument(packed: Any, inputs: Sequence[_Input]) -> Argument:
    spec = TensorSpec(tuple(packed.data.shape), str(packed.tensor.dtype))
    if packed.source is None:
        return Argument(spec, table=packed.data)
    (source,) = _places([packed.source], inputs)
    return Argument(spec, region_input=source, transform=packed.transform)


def _view_argument(view: View, inputs: Sequence[_Input]) -> Argument:
    (source,) = _places([view.source], inputs)
    spec = TensorSpec(tuple(map(int, view.tensor.shape)), str(view.tensor.dtype))
    return Argument(spec, region_input=source, strides=view.strides, offset=view.offset)


def _places(tensors: Sequence[Any], inputs: Sequence[_Input]) -> list[int]:
    """Positions of those of the tensors that are inputs."""
    return [i for i, e in enumerate(inputs) if any(e.tensor.same_as(t) for t in tensors)]


def _by_input(
    wishes: Sequence[tuple[Any, Layout]], inputs: Sequence[_Input]
) -> dict[int, list[Layout]]:
    """The wishes for each input that has any."""
    found: dict[int, list[Layout]] = {}
    for tensor, layout in wishes:
        for place in _places([tensor], inputs):
            found.setdefault(place, []).append(layout)
    return found


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


def weight_array(tensor: torch.Tensor) -> Array:
    """A weight as a dense numpy array, bfloat16 as uint16."""
    dense = tensor.detach().contiguous()
    if dense.dtype == torch.bfloat16:
        return np.asarray(dense.view(torch.uint16).numpy())
    return np.asarray(dense.numpy())
