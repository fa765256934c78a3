"""The kernels of a program. Equal ones are made once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from torch.fx import Node

from ...targets.cpu.codegen import RawKernel, lower_kernel
from ...targets.cpu.schedule import Scheduled, schedule_kernel
from ...targets.target import Target
from ..ir.layout import Layout
from ..ir.regions import Region
from ..ir.tensor_spec import TensorSpec
from .builder import Array
from .image_kernels import border_kernel, image_kernel
from .layouts import Layouts
from .options import KernelOptions
from .region import Argument, lower_region
from .signature import region_signature


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
    _known: dict[str, list[Kernel]] = field(default_factory=dict)
    _plain: dict[str, str] = field(default_factory=dict)

    def of(self, region: Region) -> Kernel:
        """A kernel for the region: one made before, if it computes the same."""
        layouts = self.layouts.of(region)
        known = self._known.setdefault(region_signature(region, layouts), [])
        for kernel in known:
            if kernel.fingerprint == self._fingerprint(region, kernel.inspected):
                return kernel
        own = {node: self.weights[node] for node in region.inputs if node in self.weights}
        lowered = lower_region(region, self.target, own, layouts, self.options)
        parallel = self.options.threads > 1
        inputs = len(lowered.arguments)
        scheduled = schedule_kernel(lowered.func, self.target, inputs=inputs, parallel=parallel)
        symbol = self._add(scheduled)
        kernel = Kernel(
            symbol=symbol,
            raw=self.made[symbol],
            arguments=lowered.arguments,
            inspected=lowered.inspected,
            fingerprint=self._fingerprint(region, lowered.inspected),
        )
        known.append(kernel)
        return kernel

    def border(self, spec: TensorSpec, layout: Layout) -> str:
        """The symbol of the kernel that writes the border around such a tensor."""
        return self._once(f"border {layout} {spec}", lambda: border_kernel(spec, layout))

    def image(self, spec: TensorSpec, layout: Layout) -> str:
        """The symbol of the kernel that copies such a tensor to a layout."""
        return self._once(f"image {layout} {spec}", lambda: image_kernel(spec, layout))

    def _once(self, key: str, make: Any) -> str:
        if key not in self._plain:
            self._plain[key] = self._add(Scheduled(make(), ()))
        return self._plain[key]

    def _add(self, scheduled: Scheduled) -> str:
        symbol = f"{self.prefix}_k{len(self.made)}"
        half = self.options.half_arithmetic
        self.made[symbol] = lower_kernel(scheduled, symbol, self.target, half_arithmetic=half)
        return symbol

    def _fingerprint(self, region: Region, inspected: tuple[int, ...]) -> tuple[str, ...]:
        """The values of those weights that decided about the code of the region's kernel."""
        return tuple(digest(self.weights[region.inputs[index]]) for index in inspected)


def digest(data: Array) -> str:
    """SHA-256 of the elements."""
    return sha256(np.ascontiguousarray(data).data).hexdigest()
