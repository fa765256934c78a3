"""The kernels of a program. Equal ones are made once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import numpy as np
from torch.fx import Node

from ...targets.cpu.codegen import RawKernel, lower_kernel
from ...targets.cpu.schedule import schedule_kernel
from ...targets.mobile_gpus import MobileGpu
from ...targets.opencl.border import Border
from ...targets.opencl.kernel import DeviceKernel
from ...targets.opencl.lower import lower_device_kernel
from ...targets.opencl.types import CannotPrint
from ...targets.target import Target
from ..errors import CompileError
from ..ir.layout import Layout, channels_last_shape
from ..ir.program import node_spec, origin_of
from ..ir.regions import Region
from ..ir.tensor_spec import TensorSpec
from .builder import Array, is_large, reaches_lowest
from .image_kernels import border_kernel, image_kernel
from .layouts import Layouts
from .options import KernelOptions
from .region import Argument, lower_region
from .row_kernels import copy, fill
from .signature import region_signature

Around = Mapping[int, tuple[TensorSpec, Layout]]  # by parameter: how what is written is stored
_NOTHING: Around = MappingProxyType({})


@dataclass(frozen=True)
class Kernel:
    """A finished kernel, and which weight values it was specialized on."""

    symbol: str
    raw: RawKernel
    arguments: tuple[Argument, ...]
    inspected: tuple[int, ...]
    fingerprint: tuple[str, ...]


@dataclass
class Kernels:
    """Makes the kernels of one program.

    Args:
        prefix: Of every C symbol.
        target: The core to generate code for.
        options: What the user chose about the kernels.
        weights: The values of all constants.
        layouts: How the values are stored.
    """

    prefix: str
    target: Target
    options: KernelOptions
    weights: Mapping[Node, Array]
    layouts: Layouts
    made: dict[str, RawKernel] = field(default_factory=dict)  # by symbol
    on_device: dict[str, DeviceKernel] = field(default_factory=dict)  # likewise, of a GPU
    _known: dict[str, list[Kernel]] = field(default_factory=dict)
    _plain: dict[str, str] = field(default_factory=dict)

    def of(self, region: Region) -> Kernel:
        """A kernel for a region of the program."""
        own = {node: self.weights[node] for node in region.inputs if node in self.weights}
        return self.make(region, own, self.layouts.of(region))

    def make(
        self, region: Region, weights: Mapping[Node, Array], layouts: Mapping[Node, Layout]
    ) -> Kernel:
        """A kernel for the region: one made before, if it computes the same.

        Args:
            region: What the kernel computes.
            weights: Values of those inputs that are constants.
            layouts: Inputs and outputs that are stored channels last.
        """
        known = self._known.setdefault(region_signature(region, layouts), [])
        for kernel in known:
            if kernel.fingerprint == _fingerprint(region, weights, kernel.inspected):
                return kernel
        lowered = lower_region(region, self.target, weights, layouts, self.options)
        inputs = len(lowered.arguments)
        around = {
            place: (node_spec(node), layouts[node])
            for place, node in enumerate(region.outputs, inputs)
            if node in layouts and layouts[node].has_border
        }
        try:
            symbol = self.add(lowered.func, inputs=inputs, around=around)
        except CannotPrint as error:
            raise _no_kernel(region, self.target, error) from error
        kernel = Kernel(
            symbol=symbol,
            raw=self.made[symbol],
            arguments=lowered.arguments,
            inspected=lowered.inspected,
            fingerprint=_fingerprint(region, weights, lowered.inspected),
        )
        known.append(kernel)
        return kernel

    def border(self, spec: TensorSpec, layout: Layout) -> str:
        """The symbol of the kernel of a CPU that writes the border around such a tensor."""
        key = f"border {layout} {spec}"
        return self._once(key, lambda: self._add(border_kernel(spec, layout), 0))

    def image(self, spec: TensorSpec, layout: Layout) -> str:
        """The symbol of the kernel that copies such a tensor to a layout, but for its border."""
        key = f"image {layout} {spec}"
        around = {1: (spec, layout)} if layout.has_border else {}
        return self._once(
            key, lambda: self.add(image_kernel(spec, layout), inputs=1, around=around)
        )

    def fill(self, elements: int, dtype: str, value: float) -> str:
        """The symbol of the kernel that sets so many elements to a value."""
        key = f"fill {elements} {dtype} {value}"
        return self._once(key, lambda: self.add(fill(elements, dtype, value), inputs=0))

    def copy(self, elements: int, dtype: str) -> str:
        """The symbol of the kernel that copies so many elements to where they do not overlap."""
        key = f"copy {elements} {dtype}"
        return self._once(key, lambda: self.add(copy(elements, dtype), inputs=0))

    def _once(self, key: str, make: Callable[[], str]) -> str:
        if key not in self._plain:
            self._plain[key] = make()
        return self._plain[key]

    def add(self, func: Any, *, inputs: int, around: Around = _NOTHING) -> str:
        """The symbol of a new kernel.

        Args:
            func: TE stages; its first `inputs` parameters are read.
            inputs: Their number.
            around: Those of the others that are stored with a border. A GPU's kernel writes it
                too; on the CPU that is a kernel of its own.
        """
        symbol = self._add(func, inputs)
        if isinstance(self.target, MobileGpu):
            self.on_device[symbol] = lower_device_kernel(
                func,
                symbol,
                self.target,
                inputs=inputs,
                half_arithmetic=self.options.half_arithmetic,
                borders={place: _border(*stored) for place, stored in around.items()},
            )
        return symbol

    def _add(self, func: Any, inputs: int) -> str:
        """The symbol of a new kernel of the CPU."""
        symbol = f"{self.prefix}_k{len(self.made)}"
        self.made[symbol] = self.generate(func, symbol, inputs)
        return symbol

    def workspaces(self, symbol: str) -> tuple[tuple[int, str], ...]:
        """(elements, dtype) of the scratch buffers of a kernel: large enough for both."""
        own = self.made[symbol].workspaces
        more = self.on_device[symbol].workspaces if symbol in self.on_device else ()
        pairs = zip_longest(own, more, fillvalue=(0, "int8"))
        return tuple(max(pair, key=_workspace_bytes) for pair in pairs)

    def inplace(self, symbol: str) -> tuple[tuple[int, int], ...]:
        """Pairs (input, output) of a kernel that may share storage, wherever it runs."""
        own = self.made[symbol].inplace
        if symbol not in self.on_device:
            return own
        return tuple(pair for pair in own if pair in self.on_device[symbol].inplace)

    def generate(self, func: Any, symbol: str, inputs: int) -> RawKernel:
        """Loops over raw pointers for TE stages."""
        parallel = self.options.threads > 1
        half = self.options.half_arithmetic and self.target.has_half_arithmetic
        scheduled = schedule_kernel(func, self.target, inputs=inputs, parallel=parallel)
        return lower_kernel(scheduled, symbol, self.target, half_arithmetic=half)


def _fingerprint(
    region: Region, weights: Mapping[Node, Array], inspected: tuple[int, ...]
) -> tuple[str, ...]:
    """What decided about the code of the region's kernel: values of weights, or what they reach."""
    given = [(i, weights[node]) for i, node in enumerate(region.inputs) if node in weights]
    low = [f"low {i}" for i, weight in given if reaches_lowest(weight)]
    large = [f"large {i}" for i, weight in given if is_large(weight)]
    return (*(digest(weights[region.inputs[index]]) for index in inspected), *low, *large)


def _no_kernel(region: Region, target: Target, error: CannotPrint) -> CompileError:
    """What to tell the user of a region that has no form on the device."""
    ops = ", ".join(dict.fromkeys(str(node.target) for node in region.nodes))
    paths = (origin_of(node).module_path for node in region.nodes)
    return CompileError(
        f"no kernel of {target.name} computes this",
        at=", ".join(dict.fromkeys(filter(None, paths))),
        got=f"{ops}: {error}",
        fix="compile the model for a CPU",
    )


def _border(spec: TensorSpec, layout: Layout) -> Border:
    shape = channels_last_shape(spec.shape)
    return Border(shape=shape, before=layout.before, after=layout.after, fill=layout.fill)


def _workspace_bytes(workspace: tuple[int, str]) -> int:
    return TensorSpec((workspace[0],), workspace[1]).nbytes


def digest(data: Array) -> str:
    """SHA-256 of the elements."""
    return sha256(np.ascontiguousarray(data).data).hexdigest()
