"""A program for a microcontroller -> layers: one operator, one C function each.

What targets/cortex_m knows how to compute well becomes a call with several ways, between which the
memory planner chooses; everything else takes the rules of the CPU and becomes scalar loops. Values
of rank 4 are stored channels last, [N, H, W, C], inputs and outputs among them.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import tvm_ffi
from torch.fx import Node

from ...targets.cortex_m.generic import lower_generic
from ...targets.cortex_m.layer import Layer, MicroKernel, RowStream, variants
from ...targets.cortex_m.row_streams import stream_layers
from ...targets.cpu.codegen import RawKernel
from ...targets.microcontrollers import Microcontroller
from ..ir.layout import Layout
from ..ir.program import Program, node_spec, origin_of
from ..ir.regions import Region, has_several_results, regions
from ..ir.rewrite import arguments_of
from ..ir.tensor_spec import TensorSpec
from ..macs import macs
from .aliases import are_channels_last, are_dense, moved_strides, only_moves
from .describe import describe
from .front import CannotStream, find_front, front_arguments
from .kernels import Kernels
from .layouts import Layouts
from .lower import Builder
from .node_arguments import node_arguments
from .options import KernelOptions
from .program import Call, Lowered, Value
from .region import Argument, weight_array

IMAGE_RANK = 4
_C_NAMES = {"input": "x", "self": "x", "y": "other"}  # y is the result
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class LayerFunction:
    """What becomes one C function.

    Attributes:
        func: A PrimFunc over raw pointers.
        names: Of its parameters.
        micro_kernels: What it calls.
        distinct: Whether no two of its pointers may point into the same memory.
        stream: How it takes its input row by row, if it can.
    """

    func: Any
    names: tuple[str, ...]
    micro_kernels: tuple[MicroKernel, ...]
    distinct: bool
    stream: RowStream | None = None


@dataclass(frozen=True)
class LoweredLayers:
    """A program as calls, and the ways to compute those that have several.

    In `lowered` such a call has no kernel yet, and neither constants nor scratch memory among its
    arguments: `settle` adds those of the ways that are chosen.
    """

    lowered: Lowered
    ways: Mapping[int, Sequence[Layer]]  # by position of the call


def lower_layers(
    program: Program,
    core: Microcontroller,
    *,
    name: str,
    stream: int = 0,
    progress: Progress | None = None,
) -> LoweredLayers:
    """Lower a program for a microcontroller.

    Args:
        program: After `microcontroller_pipeline`.
        core: What it is compiled for.
        name: Prefix of every C symbol.
        stream: How many of the first layers become one layer that takes its input row by
            row (`front.stream_lengths`).
        progress: Called with a stage and the fraction done.

    Raises:
        CannotStream: The core computes one of the first layers as plain loops only.
    """
    todo = regions(program)
    weights = {
        node: weight_array(program.weight(node))
        for region in todo
        for node in region.inputs
        if node.op == "get_attr"
    }
    kernels = _ScalarKernels(
        name, core, KernelOptions(winograd=0), weights, images_channels_last(todo)
    )
    front = find_front(program, todo)[:stream] if stream else []
    builder = _LayerBuilder(program, kernels, front=front)
    for index, region in enumerate(todo):
        if progress is not None:
            progress("lower", index / len(todo))
        builder.add(region)
    return LoweredLayers(builder.finish(), builder.ways)


def settle(layers: LoweredLayers, chosen: Mapping[int, int]) -> Lowered:
    """The program with one way for each call: its function, constants and scratch memory.

    Args:
        layers: The program.
        chosen: By position of a call, that of its way.
    """
    lowered = layers.lowered
    values, calls, kernels = dict(lowered.values), list(lowered.calls), dict(lowered.kernels)
    known: list[tuple[Any, str]] = []
    for step, ways in layers.ways.items():
        layer, call = ways[chosen[step]], calls[step]
        constants = []
        for index, data in enumerate(layer.constants):
            spec = TensorSpec(tuple(data.shape), data.dtype.name)
            constants.append(f"w{step}_{index}")
            values[constants[-1]] = Value(name=constants[-1], spec=spec, kind="constant", data=data)
        scratch = []
        if layer.scratch_bytes:
            scratch.append(f"scratch{step}")
            spec = TensorSpec((layer.scratch_bytes,), "uint8")
            values[scratch[0]] = Value(name=scratch[0], spec=spec, kind="workspace")
        reads = (*call.reads, *constants)
        calls[step] = replace(
            call,
            kernel=_symbol_of(layer, known, kernels, lowered.name),
            reads=reads,
            arguments=(*reads, *call.writes, *scratch),
            leads=tuple(layer.leads),
            lead_unit=layer.lead_unit,
        )
    return replace(lowered, values=values, calls=tuple(calls), kernels=kernels)


def _symbol_of(
    layer: Layer, known: list[tuple[Any, str]], kernels: dict[str, Any], prefix: str
) -> str:
    """The symbol of a layer's function; equal ones are made once."""
    for func, symbol in known:
        if tvm_ffi.structural_equal(func, layer.func, map_free_vars=True):
            return symbol
    symbol = f"{prefix}_layer{len(known)}"
    known.append((layer.func, symbol))
    distinct = all(lead is None for lead in layer.leads)
    names = tuple(str(param.name) for param in layer.func.params)
    made = LayerFunction(layer.func, names, layer.micro_kernels, distinct, layer.stream)
    kernels[symbol] = made
    return symbol


def images_channels_last(todo: Sequence[Region]) -> Layouts:
    """Layouts in which every value of rank 4 is channels last, and moves of nothing are aliases."""
    inputs = (node for region in todo for node in (*region.inputs, *region.outputs))
    stored = {
        node: Layout.without_border(IMAGE_RANK)
        for node in inputs
        if node.op != "get_attr" and len(node_spec(node).shape) == IMAGE_RANK
    }
    aliases = frozenset(region.result for region in todo if _moves_nothing(region, stored))
    return Layouts(stored, {}, {}, aliases)


def _moves_nothing(region: Region, stored: Mapping[Node, Layout]) -> bool:
    if not only_moves(region):
        return False
    strides = moved_strides(region, stored.get(region.inputs[0]))
    shape = node_spec(region.result).shape
    is_like = are_channels_last if region.result in stored else are_dense
    return strides is not None and is_like(shape, strides)


class _ScalarKernels(Kernels):
    """Kernels as scalar loops."""

    def generate(self, func: Any, symbol: str, inputs: int) -> RawKernel:
        return lower_generic(func, symbol, inputs=inputs)


@dataclass
class _LayerBuilder(Builder):
    """Appends calls with several ways where there are any, and scalar kernels elsewhere."""

    front: Sequence[Node] = ()  # computed row by row
    ways: dict[int, Sequence[Layer]] = field(default_factory=dict)
    _names_of: dict[str, tuple[str, ...]] = field(default_factory=dict)  # parameters, by symbol

    def add(self, region: Region) -> None:
        if region.nodes[0] not in self.front[:-1]:  # these are part of what follows
            super().add(region)

    def compute(self, region: Region) -> None:
        core = self.kernels.target
        assert isinstance(core, Microcontroller), core
        node = region.nodes[0]
        if node in self.front:
            self._add_stream(core)
            return
        if len(region.nodes) == 1 and not has_several_results(node):
            arguments, inputs = node_arguments(self.program, node)
            if found := variants(arguments, core):
                self._add_layer(node, inputs, found)
                return
        super().compute(region)
        call, kernel = self.calls[-1], self.kernels.of(region)
        self.calls[-1] = replace(call, note=describe(region.anchor or region.result))
        given = [_parameter_name(argument, region) for argument in kernel.arguments]
        results = ["y"] if len(call.writes) == 1 else [f"y{i}" for i in range(len(call.writes))]
        scratch = [str(p.name) for p in kernel.raw.func.params[len(given) + len(results) :]]
        names = (name.removesuffix("_pointer") for name in (*given, *results, *scratch))
        self._names_of.setdefault(kernel.symbol, tuple(names))

    def finish(self) -> Lowered:
        lowered = super().finish()
        kernels = {
            symbol: LayerFunction(
                raw.func, self._parameters(symbol, raw), (), bool(raw.func.attrs["tirx.noalias"])
            )
            for symbol, raw in lowered.kernels.items()
        }
        return replace(lowered, kernels=kernels)

    def _parameters(self, symbol: str, raw: RawKernel) -> tuple[str, ...]:
        plain = (str(param.name).removesuffix("_pointer") for param in raw.func.params)
        return self._names_of.get(symbol, tuple(plain))

    def _add_stream(self, core: Microcontroller) -> None:
        """Append the call that computes the first layers."""
        first, last = self.front[0], self.front[-1]
        done = {*self.program.input_nodes, *self.front}
        later = [node_spec(n).nbytes for n in self.program.graph.nodes if _is_value(n, done)]
        room = max(later, default=0) * 5 // 4 - node_spec(last).nbytes  # of the arena of the rest
        found = stream_layers(front_arguments(self.program, self.front), core, room)
        if not found:
            raise CannotStream(origin_of(last).module_path, f"no functions of a {core.name} for it")
        self._add_layer(last, first.all_input_nodes[:1], found)
        self.calls[-1] = replace(
            self.calls[-1],
            macs=sum(map(macs, self.front)),
            ops=tuple(str(node.target) for node in self.front),
            modules=tuple(origin_of(node).module_path for node in self.front),
            note=f"{len(self.front)} layers, row by row",
        )

    def _add_layer(self, node: Node, inputs: Sequence[Node], ways: Sequence[Layer]) -> None:
        reads = tuple(self.value_of(source) for source in inputs)
        write = self.result(node)
        self.ways[len(self.calls)] = ways
        self.calls.append(
            Call(
                kernel="",
                reads=reads,
                writes=(write,),
                arguments=(*reads, write),
                macs=macs(node),
                bytes=sum(node_spec(value).nbytes for value in {*inputs, node}),
                ops=(str(node.target),),
                modules=(origin_of(node).module_path,),
                note=describe(node),
            )
        )


def _is_value(node: Node, done: set[Node]) -> bool:
    """Whether a node is computed after others, and one value."""
    return node.op == "call_function" and node not in done and not has_several_results(node)


def _parameter_name(argument: Argument, region: Region) -> str:
    """What the operator calls an argument; "table" for what the kernel brings along."""
    if argument.region_input < 0:
        return "table"
    source = region.inputs[argument.region_input]
    for node in region.nodes:
        if node.target is operator.getitem:
            continue
        for name, value in arguments_of(node).items():
            if value is source:
                return _C_NAMES.get(name, name)
    return "x"
