"""A whole program -> kernels, buffers and the order of calls. Equal kernels are made once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.fx import Node

from ...targets.mobile_gpus import MobileGpu
from ...targets.target import Target
from ..ir.layout import Layout
from ..ir.program import Program, node_spec, origin_of
from ..ir.regions import Region, regions
from ..ir.tensor_spec import TensorSpec
from ..macs import macs
from .builder import Array
from .kernels import Kernel, Kernels, digest
from .layouts import choose_layouts
from .options import KernelOptions
from .program import Call, Lowered, Value, ValueKind
from .region import Argument, weight_array
from .stripe_calls import add_stripes
from .stripes import find_chains

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
    """Lower every region of an optimized program for a CPU, and the GPU beside it if there is one.

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
    builder = Builder(program, Kernels(name, target, options, weights, layouts))
    in_stripes = options.threads == 1 and not isinstance(target, MobileGpu)  # launches cost more
    chains = find_chains(todo, layouts, target) if in_stripes else {}
    for index, region in enumerate(todo):
        if progress is not None:
            progress("lower", index / len(todo))
        if region not in chains:
            builder.add(region)
        elif region is chains[region].narrow:
            add_stripes(builder, chains[region])
    return builder.finish()


@dataclass
class Builder:
    """Appends kernel calls, and the values they read and write.

    Args:
        program: What is lowered.
        kernels: Makes the kernels.
    """

    program: Program
    kernels: Kernels
    values: dict[str, Value] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    _names: dict[Node, str] = field(default_factory=dict)
    _images: dict[Node, str] = field(default_factory=dict)  # copies that are channels last
    _constants: dict[tuple[str, str, tuple[int, ...]], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index, node in enumerate(self.program.input_nodes):
            self._names[node] = self.new_value("in", "input", self._stored(node), index=index)

    def add(self, region: Region) -> None:
        """Append the kernel call of a region, or the alias it stands for."""
        node = region.result
        if node in self.kernels.layouts.aliases:
            source = self.value_of(region.inputs[0])
            self._names[node] = self.new_value(
                "v", "intermediate", self._stored(node), alias_of=source
            )
            return
        if all(node_spec(node).size == 0 for node in region.outputs):
            for node in region.outputs:  # nothing to compute
                self._names[node] = self.constant(_nothing(node_spec(node)), node_spec(node))
            return
        self.compute(region)
        for node in region.outputs:
            self.add_border(node)

    def compute(self, region: Region) -> None:
        """Append the kernel call of a region that has something to compute."""
        kernel = self.kernels.of(region)
        reads = [self.argument(a, region) for a in kernel.arguments]
        writes = [self.result(node) for node in region.outputs]
        offsets = [
            *(argument.offset for argument in kernel.arguments),
            *(self._offset(node) for node in region.outputs),
        ]
        self.call(kernel, region, reads, writes, offsets)

    def call(
        self,
        kernel: Kernel,
        region: Region,
        reads: Sequence[str],
        writes: Sequence[str],
        offsets: Sequence[int],
    ) -> None:
        """Append the call of a region's kernel; its scratch buffers are new values."""
        scratch = [
            self.new_value("s", "workspace", TensorSpec((size,), dtype))
            for size, dtype in self.kernels.workspaces(kernel.symbol)
        ]
        values = dict.fromkeys((*region.inputs, *region.outputs))
        self.calls.append(
            Call(
                kernel=kernel.symbol,
                reads=tuple(reads),
                writes=tuple(writes),
                arguments=(*reads, *writes, *scratch),
                offsets=(*offsets, *(0 for _ in scratch)),
                inplace=self.kernels.inplace(kernel.symbol),
                macs=sum(macs(node) for node in region.nodes),
                bytes=sum(node_spec(node).nbytes for node in values),
                ops=tuple(str(node.target) for node in region.nodes),
                modules=tuple(dict.fromkeys(origin_of(n).module_path for n in region.nodes)),
            )
        )

    def move(self, kernel: str, what: str, node: Node, *arguments: tuple[str, int]) -> None:
        """Append the call of a kernel that no region made: the last argument is written.

        Args:
            kernel: Its symbol.
            what: What it does, for the report.
            node: What it does this for.
            arguments: Values, and elements in front of the first one passed.
        """
        *reads, write = [name for name, _ in arguments]
        self.calls.append(
            Call(
                kernel=kernel,
                reads=tuple(reads),
                writes=(write,),
                arguments=(*reads, write),
                offsets=tuple(offset for _, offset in arguments),
                ops=(what,),
                modules=(origin_of(node).module_path,),
            )
        )

    def finish(self) -> Lowered:
        """The lowered program, once every region has been added."""
        return Lowered(
            name=self.kernels.prefix,
            target=self.kernels.target,
            threads=self.kernels.options.threads,
            values=self.values,
            calls=tuple(self.calls),
            kernels=self.kernels.made,
            device_kernels=self.kernels.on_device,
            inputs=tuple(self._names[node] for node in self.program.input_nodes),
            outputs=tuple(self.value_of(node) for node in self.program.output_nodes),
            input_names=self.program.input_names,
            output_names=self.program.output_names,
        )

    def result(self, node: Node) -> str:
        """A new value that holds a node."""
        self._names[node] = self.new_value("v", "intermediate", self._stored(node))
        return self._names[node]

    def _stored(self, node: Node) -> TensorSpec:
        """The type and shape of a node in memory."""
        spec, layout = node_spec(node), self.kernels.layouts.stored.get(node)
        if layout is None or layout.is_plain(spec.shape):
            return spec
        return TensorSpec(layout.storage(spec.shape), spec.dtype)

    def _offset(self, node: Node) -> int:
        layout = self.kernels.layouts.stored.get(node)
        return layout.offset(node_spec(node).shape) if layout else 0

    def add_border(self, node: Node) -> None:
        """Append the call that writes the border around a node."""
        layout = self.kernels.layouts.stored.get(node)
        if layout is not None:
            self._add_border(node, layout, self._names[node])

    def _add_border(self, node: Node, layout: Layout, value: str) -> None:
        if layout.has_border:
            kernel = self.kernels.border(node_spec(node), layout)
            self.move(kernel, "border", node, (value, 0))

    def _image_of(self, node: Node) -> str:
        """The copy of a node that is stored channels last."""
        if node not in self._images:
            spec, layout = node_spec(node), self.kernels.layouts.copied[node]
            stored = TensorSpec(layout.storage(spec.shape), spec.dtype)
            source, image = self.value_of(node), self.new_value("v", "intermediate", stored)
            kernel = self.kernels.image(spec, layout)
            inside = image, layout.offset(spec.shape)
            self.move(kernel, "channels last", node, (source, 0), inside)
            self._add_border(node, layout, image)
            self._images[node] = image
        return self._images[node]

    def argument(self, argument: Argument, region: Region) -> str:
        """The value passed for one parameter."""
        if argument.table is not None:
            return self.constant(argument.table, argument.spec)
        node = region.inputs[argument.region_input]
        if argument.transform is None:
            is_copy = argument.strides and node in self.kernels.layouts.copied
            return self._image_of(node) if is_copy else self.value_of(node)
        data = np.ascontiguousarray(argument.transform(self.kernels.weights[node]))
        return self.constant(data, argument.spec)

    def value_of(self, node: Node) -> str:
        """The value that holds a node; weights get theirs on first use."""
        if node not in self._names:
            assert _is_weight(node), f"{node.format_node()} is used before it is computed"
            data = weight_array(self.program.weight(node))
            self._names[node] = self.constant(data, node_spec(node))
        return self._names[node]

    def constant(self, data: Array, spec: TensorSpec) -> str:
        """The value of a constant; equal bytes of one type are stored once."""
        key = (digest(data), spec.dtype, spec.shape)
        if key not in self._constants:
            self._constants[key] = self.new_value("w", "constant", spec, data=data)
        return self._constants[key]

    def new_value(
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
