"""C names for what a program has: functions after modules, constants after parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from ..lowering.program import Call, Lowered

_NO_LETTERS = re.compile(r"[^A-Za-z0-9]+")


@dataclass
class Names:
    """Names that start with a prefix; a number is appended to those that are taken."""

    prefix: str
    _taken: set[str] = field(default_factory=set)

    def new(self, wanted: str) -> str:
        """A free name like `wanted`."""
        stem = f"{self.prefix}_{_NO_LETTERS.sub('_', wanted).strip('_')}"
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name


@dataclass(frozen=True)
class CNames:
    """The names of a program in C.

    Attributes:
        functions: By symbol of the kernel.
        constants: By name of the value; equal bytes have one name.
        data: By name in C, the elements.
    """

    functions: Mapping[str, str]
    constants: Mapping[str, str]
    data: Mapping[str, np.ndarray]


def c_names(lowered: Lowered) -> CNames:
    """Names for the functions and constants that the calls of a program use."""
    names = Names(lowered.name)
    for reserved in ("run", "weights", "kernels", "layers"):
        names.new(reserved)
    functions: dict[str, str] = {}
    for call in lowered.calls:
        if call.kernel not in functions:
            functions[call.kernel] = names.new(_function_name(call))
    constants: dict[str, str] = {}
    known: dict[tuple[str, bytes], str] = {}
    data: dict[str, np.ndarray] = {}
    for call in lowered.calls:
        parameters = lowered.kernels[call.kernel].names
        for value, parameter in zip(call.arguments, parameters, strict=True):
            array = lowered.values[lowered.storage_of(value)].data
            if array is None or value in constants:
                continue
            key = (array.dtype.name, sha256(np.ascontiguousarray(array).data).digest())
            if key not in known:
                known[key] = names.new(f"{layer_name(call)}_{parameter}")
                data[known[key]] = _in_c(array)
            constants[value] = known[key]
    for value in lowered.outputs:
        array = lowered.values[lowered.storage_of(value)].data
        if array is not None and value not in constants:
            constants[value] = names.new("constant")
            data[constants[value]] = _in_c(array)
    return CNames(functions, constants, data)


def _in_c(array: np.ndarray) -> np.ndarray:
    """The elements; one where there are none, since arrays in C have at least one."""
    return array if array.size else np.zeros(1, array.dtype)


def _function_name(call: Call) -> str:
    """The layer, with its operator where the module has but a number (in an `nn.Sequential`)."""
    name, last = layer_name(call), layer_name(call).rpartition(".")[2]
    return f"{name}.{_operator(call)}" if last.isdigit() else name


def layer_name(call: Call) -> str:
    """The module that a call computes, or its operator where the user gave it no module."""
    modules = [module for module in call.modules if module]
    return modules[-1] if modules else _operator(call)


def _operator(call: Call) -> str:
    if not call.ops:
        return "layer"
    _, name, *_ = f"{call.ops[0]}..".split(".")
    return (name or call.ops[0]).removesuffix("_int8")
