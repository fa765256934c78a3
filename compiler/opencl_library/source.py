"""The OpenCL C of a whole program."""

from dataclasses import dataclass
from hashlib import sha256

from ...targets.opencl.preamble import preamble
from ..lowering.program import Lowered
from .steps import steps_of

# No option that lets the compiler change formulas: results are compared with the CPU's.
_OPTIONS = "-cl-std=CL1.2"


@dataclass(frozen=True)
class DeviceSource:
    """What a device compiles.

    Attributes:
        text: OpenCL C.
        options: Of the compiler.
        extensions: That the device must have, sorted.
    """

    text: bytes
    options: str
    extensions: tuple[str, ...]

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that differ wherever the source or the options do."""
        return sha256(self.text + b"\0" + self.options.encode()).hexdigest()[:16]


def join_source(lowered: Lowered) -> DeviceSource:
    """The kernels that the calls use, in the order of their first use, after their helpers."""
    kernels = {step.call.kernel: step.kernel for step in steps_of(lowered)}.values()
    helpers = frozenset[str]().union(*(kernel.helpers for kernel in kernels))
    extensions = frozenset[str]().union(*(kernel.extensions for kernel in kernels))
    parts = [preamble(helpers), *(kernel.source for kernel in kernels)]
    text = "\n".join(part for part in parts if part)
    return DeviceSource(text.encode("ascii"), _OPTIONS, tuple(sorted(extensions)))
