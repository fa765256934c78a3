"""A whole program -> kernels, buffers and the order of calls. Equal kernels are made once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import torch
from torch.fx import Node

from ...targets.cpu.codegen import RawKernel, lower_kernel
from ...targets.cpu.schedule import Scheduled, schedule_kernel
from ...targets.target import Target
from ..ir.layout import Layout
from ..ir.op_kinds import Kind, kind_of
from ..ir.program import Program, node_spec, origin_of
from ..ir.regions import Region, regions
from ..ir.tensor_spec import TensorSpec
from .builder import Array
from .layouts import choose_layouts
from .macs import macs
from .options import KernelOptions
from .program import Call, Lowered, Value, ValueKind
from .region import Argument, lower_region, weight_array
from .rules.borders import border_kernel
from .signature import region_signature

Progress = Callable[[str, float], None]
_DEFAULTS = KernelOptions()


def lower(
    program: Program,
    target: Target,
    *,
    name: str,
    options: KernelOptions = _DEFAULTS,
    progress: Progress | None = None,
) -> Lowered:
    """Lower every region of an optimized program for a CPU.

    Args:
        program: Regions already formed.
        target: The core to generate code for.
        name: Prefix of every C symbol.
        options: What the user chose about the kernels.
        progress: Called with a stage and the fraction done.
    """
    todo = regions(program)
    weights = {
        node: weight_array(program.weight(node))
        for region in todo
        for node in region.inputs
        if _is_weight(node)
    }
    layouts = choose_layouts(program, todo, target, options, weights)
    builder = _Builder(program, target, name, options, weights, layouts)
    for index, region in enumerate(todo):
        if progress is not None:
            progress("lower", index / len(todo))
        builder.add(region)
    return builder.finish()


@dataclass(frozen=True)
class _Variant:
    """A finished kernel, and which weight values it was specialized on."""

    symbol: str
    raw: RawKernel
    arguments: tuple[Argument, ...]
    fingerprint: tuple[str, ...]
    inspected: tuple[int, ...]


@dataclass
class _Builder:
    program: Program
    target: Target
    name: str
    options: KernelOptions
    weights: dict[Node, Array]
    layouts: dict[Node, Layout]
    values: dict[str, Value] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    kernels: dict[str, RawKernel] = field(default_factory=dict)
    _names: dict[Node, str] = field(default_factory=dict)
    _variants: dict[str, list[_Variant]] = field(default_factory=dict)
    _borders: dict[str, str] = field(default_factory=dict)
    _constants: dict[tuple[str, str, tuple[int, ...]], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index, node in enumerate(self.program.input_nodes):
            self._names[node] = self._add("in", "input", node_spec(node), index=index)

    def add(self, region: Region) -> None:
        """Append the kernel call of a region, or the alias it stands for."""
        node = region.result
        if self._is_alias(region):
            source = region.inputs[0]
            self._names[node] = self._add(
                "v", "intermediate", node_spec(node), alias_of=self._value_of(source)
            )
            return
        if all(node_spec(node).size == 0 for node in region.outputs):
            for node in region.outputs:  # nothing to compute
                self._names[node] = self._constant(_nothing(node_spec(node)), node_spec(node))
            return
        variant = self._variant(region)
        reads = [self._argument(a, region) for a in variant.arguments]
        writes = [self._result(node) for node in region.outputs]
        scratch = [
            self._add("s", "workspace", TensorSpec((size,), dtype))
            for size, dtype in variant.raw.workspaces
        ]
        self.calls.append(
            Call(
                kernel=variant.symbol,
                reads=tuple(reads),
                writes=tuple(writes),
                arguments=(*reads, *writes, *scratch),
                offsets=(
                    *(argument.offset for argument in variant.arguments),
                    *(self._offset(node) for node in region.outputs),
                    *(0 for _ in scratch),
                ),
                inplace=variant.raw.inplace,
                macs=sum(macs(node) for node in region.nodes),
                bytes=sum(self.values[value].spec.nbytes for value in (*reads, *writes)),
                ops=tuple(str(node.target) for node in region.nodes),
                modules=tuple(dict.fromkeys(origin_of(n).module_path for n in region.nodes)),
            )
        )
        for node in region.outputs:
            self._add_border(node)

    def finish(self) -> Lowered:
        """The lowered program, once every region has been added."""
        return Lowered(
            name=self.name,
            target=self.target,
            threads=self.options.threads,
            values=self.values,
            calls=tuple(self.calls),
            kernels=self.kernels,
            inputs=tuple(self._names[node] for node in self.program.input_nodes),
            outputs=tuple(self._value_of(node) for node in self.program.output_nodes),
            input_names=self.program.input_names,
            output_names=self.program.output_names,
        )

    def _is_alias(self, region: Region) -> bool:
        """Whether the region only gives bytes another shape."""
        if kind_of(region.result) is not Kind.VIEW or len(region.nodes) > 1:
            return False
        source = region.inputs[0]
        layout = self.layouts.get(source)
        return layout is None or layout.is_plain(node_spec(source).shape)

    def _result(self, node: Node) -> str:
        """A new value that holds a node."""
        spec = node_spec(node)
        if node in self.layouts:
            spec = TensorSpec(self.layouts[node].storage(spec.shape), spec.dtype)
        self._names[node] = self._add("v", "intermediate", spec)
        return self._names[node]

    def _offset(self, node: Node) -> int:
        layout = self.layouts.get(node)
        return layout.offset(node_spec(node).shape) if layout else 0

    def _add_border(self, node: Node) -> None:
        """Append the call that writes the border around a node."""
        layout = self.layouts.get(node)
        if layout is None or not layout.has_border:
            return
        spec, value = node_spec(node), self._names[node]
        key = f"border {layout} of {spec}"
        if key not in self._borders:
            self._borders[key] = f"{self.name}_k{len(self.kernels)}"
            func = Scheduled(border_kernel(spec, layout), ())
            self.kernels[self._borders[key]] = lower_kernel(func, self._borders[key], self.target)
        self.calls.append(
            Call(
                kernel=self._borders[key],
                reads=(),
                writes=(value,),
                arguments=(value,),
                bytes=self.values[value].spec.nbytes - spec.nbytes,
                ops=("border",),
                modules=(origin_of(node).module_path,),
            )
        )

    def _variant(self, region: Region) -> _Variant:
        """A kernel for the region: one made before, if it computes the same."""
        known = self._variants.setdefault(region_signature(region, self.layouts), [])
        for variant in known:
            if variant.fingerprint == self._fingerprint(region, variant.inspected):
                return variant
        own = {node: self.weights[node] for node in region.inputs if node in self.weights}
        lowered = lower_region(region, self.target, own, self.layouts, self.options)
        parallel = self.options.threads > 1
        scheduled = schedule_kernel(
            lowered.func, self.target, inputs=len(lowered.arguments), parallel=parallel
        )
        symbol = f"{self.name}_k{len(self.kernels)}"
        raw = lower_kernel(scheduled, symbol, self.target)
        variant = _Variant(
            symbol=symbol,
            raw=raw,
            arguments=lowered.arguments,
            inspected=lowered.inspected,
            fingerprint=self._fingerprint(region, lowered.inspected),
        )
        known.append(variant)
        self.kernels[symbol] = raw
        return variant

    def _fingerprint(self, region: Region, inspected: tuple[int, ...]) -> tuple[str, ...]:
        """The values of those weights that decided about the code of the region's kernel."""
        return tuple(_digest(self.weights[region.inputs[index]]) for index in inspected)

    def _argument(self, argument: Argument, region: Region) -> str:
        """The value passed for one parameter."""
        if argument.table is not None:
            return self._constant(argument.table, argument.spec)
        node = region.inputs[argument.region_input]
        if argument.transform is None:
            return self._value_of(node)
        data = np.ascontiguousarray(argument.transform(self.weights[node]))
        return self._constant(data, argument.spec)

    def _value_of(self, node: Node) -> str:
        """The value that holds a node; weights get theirs on first use."""
        if node not in self._names:
            assert _is_weight(node), f"{node.format_node()} is used before it is computed"
            data = weight_array(self.program.weight(node))
            self._names[node] = self._constant(data, node_spec(node))
        return self._names[node]

    def _constant(self, data: Array, spec: TensorSpec) -> str:
        """The value of a constant; equal bytes of one type are stored once."""
        key = (_digest(data), spec.dtype, spec.shape)
        if key not in self._constants:
            self._constants[key] = self._add("w", "constant", spec, data=data)
        return self._constants[key]

    def _add(
        self,
        prefix: str,
        kind: ValueKind,
        spec: TensorSpec,
        *,
        alias_of: str | None = None,
        data: Array | None = None,
        index: int = -1,
    ) -> str:
        name = f"{prefix}{len(self.values)}"
        self.values[name] = Value(
            name=name, spec=spec, kind=kind, alias_of=alias_of, data=data, index=index
        )
        return name


def _nothing(spec: TensorSpec) -> Array:
    """The data of a tensor without elements."""
    return weight_array(torch.empty(spec.shape, dtype=spec.torch_dtype))


def _is_weight(node: Node) -> bool:
    return node.op == "get_attr"


def _digest(data: Array) -> str:
    return sha256(np.ascontiguousarray(data).data).hexdigest()
