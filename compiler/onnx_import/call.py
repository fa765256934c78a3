"""What the translation of an operator sees of a node: tensors, known numbers and attributes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from ..errors import CompileError

Default = TypeVar("Default")
MAX_KNOWN_ELEMENTS = 1 << 27


@dataclass(eq=False)
class Value:
    """A value of an ONNX graph while its nodes are translated.

    Args:
        name: In the ONNX graph.
        tensor: What PyTorch calculates with; None for sequences, strings and empty optionals.
        known: The numbers, where they do not depend on the inputs of the model.
        items: The elements of a sequence; None for tensors.
        is_weight: Whether it is a weight or calculated from some, so that what reads it stays in
            the program, trainable, though its numbers are known.
        compute: Gives `known` when it is first asked for; for what is calculated from weights.
    """

    name: str
    tensor: Tensor | None = None
    known: np.ndarray | None = None
    items: list["Value"] | None = None
    is_weight: bool = False
    compute: Callable[[], np.ndarray] | None = None

    @property
    def is_known(self) -> bool:
        """Whether the numbers do not depend on the inputs of the model."""
        return self.known is not None or self.compute is not None

    def numbers(self) -> np.ndarray | None:
        """The numbers, calculated if need be; None where they depend on the inputs."""
        if self.known is None and self.compute is not None:
            self.known = self.compute()
        return self.known


@dataclass
class Call:
    """A node of the graph and the values that it reads.

    Args:
        op_type: "Conv".
        name: Of the node, which errors and reports show.
        opset: Version of the operator set that `op_type` belongs to.
        inputs: None where an optional one is left out.
        attributes: By name: int, float, str, a list of these, an array, or a graph.
        output_count: Results that the node names, left out ones in front of others included.
        outputs_wanted: For each of them, whether it has a name.
        domain: "" is ONNX's own.
    """

    op_type: str
    name: str
    opset: int
    inputs: Sequence[Value | None]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    output_count: int = 1
    outputs_wanted: Sequence[bool] = (True,)
    domain: str = ""

    def has(self, index: int) -> bool:
        """Whether the node has this input."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int) -> Value:
        """An input of any kind.

        Raises:
            CompileError: It is left out.
        """
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise self.refused(f"input {index} is missing")
        return found

    def tensor(self, index: int) -> Tensor:
        """An input as a tensor.

        Raises:
            CompileError: It is left out, or is a sequence.
        """
        found = self.value(index)
        if found.tensor is None:
            raise self.refused(f"input {index}, {found.name}, is no tensor")
        return found.tensor

    def tensors(self) -> list[Tensor]:
        """All inputs as tensors."""
        return [self.tensor(index) for index in range(len(self.inputs))]

    def optional(self, index: int) -> Tensor | None:
        """An input as a tensor, None if it is left out."""
        return self.tensor(index) if self.has(index) else None

    def is_known(self, index: int) -> bool:
        """Whether the node has this input and its numbers are known."""
        return self.has(index) and self.value(index).is_known

    def known(self, index: int, what: str = "") -> np.ndarray:
        """The numbers of an input.

        Args:
            index: Of the input.
            what: What the numbers are for, for the error.

        Raises:
            CompileError: They depend on the inputs of the model.
        """
        found = self.value(index)
        numbers = found.numbers()
        if numbers is None:
            role = what or f"input {index}"
            raise self.refused(f"{role}, {found.name}, depends on the inputs of the model")
        return numbers

    def known_ints(self, index: int, what: str = "") -> list[int]:
        """The numbers of an input as a flat list of integers: shapes, axes, paddings."""
        return [int(number) for number in self.known(index, what).reshape(-1)]

    def attribute(self, name: str, default: Default) -> Default:
        """An attribute, or `default`, whose type it must have."""
        found: Default = self.attributes.get(name, default)
        wants = (int, float) if isinstance(default, float) else type(default)
        if default is not None and not isinstance(found, wants):
            raise self.refused(f"attribute {name} is {found!r}")
        return found

    def needed(self, name: str) -> Any:
        """An attribute that the node must have."""
        if name not in self.attributes:
            raise self.refused(f"attribute {name} is missing")
        return self.attributes[name]

    def bounded(self, count: int) -> int:
        """A number of elements that is about to be calculated while the model is read.

        Raises:
            CompileError: They would not fit into the memory of this computer.
        """
        if count > MAX_KNOWN_ELEMENTS:
            raise self.refused(f"{count} elements, more than {MAX_KNOWN_ELEMENTS}")
        return count

    def refused(self, reason: str) -> CompileError:
        """The error to raise where this node cannot be translated; `reason` is half a sentence."""
        domain = f"{self.domain}." if self.domain else ""
        return CompileError(
            f"cannot import the operator {domain}{self.op_type}",
            at=self.name,
            got=f"{reason} (operator set {self.opset})",
        )
