"""Collects the nodes, weights and constants of an ONNX graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor

from ..errors import CompileError
from ..ir.inference import Specs
from ..ir.program import Origin
from ..ir.tensor_spec import TensorSpec
from .tensors import element_type, int4_proto, to_proto

Number = bool | int | float


@dataclass(frozen=True, eq=False)
class Value:
    """A value of the ONNX graph.

    Args:
        name: In the graph.
        spec: Its shape and dtype; None for what is only on the way to the result of an operator.
        tensor: What it is, for weights and constants.
    """

    name: str
    spec: TensorSpec | None = None
    tensor: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a value that has a spec."""
        assert self.spec is not None, self.name
        return self.spec.shape

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of a value that has a spec."""
        assert self.spec is not None, self.name
        return self.spec.torch_dtype


class Emitter:
    """Adds nodes to an ONNX graph for one operator of a program after the other.

    Args:
        opset: The version of ONNX's operators to use.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.origin = Origin()
        self.operator = ""
        self.specs: Specs = ()
        self._taken: dict[str, int] = {}
        self._constants: dict[tuple[Any, ...], Value] = {}

    @property
    def result(self) -> TensorSpec:
        """What the operator that is being said gives, if it is one tensor."""
        assert isinstance(self.specs, TensorSpec), self.operator
        return self.specs

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the operator's result."""
        return self.result.shape

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the operator's result."""
        return self.result.torch_dtype

    def __call__(self, op_type: str, *inputs: Value | None, **attributes: Any) -> Value:
        """A new node with one result."""
        return self.several(op_type, *inputs, count=1, **attributes)[0]

    def several(
        self, op_type: str, *inputs: Value | None, count: int, **attributes: Any
    ) -> list[Value]:
        """A new node with `count` results."""
        name = self.free_name(f"{_folder(self.origin)}/{op_type}")
        results = [self.free_name(f"{name}_output_{index}") for index in range(count)]
        names = ["" if value is None else value.name for value in inputs]
        while names and not names[-1]:
            names.pop()
        node = helper.make_node(op_type, names, results, name=name, **attributes)
        node.doc_string = str(self.origin)
        self.nodes.append(node)
        return [Value(result) for result in results]

    def weight(self, name: str, tensor: Tensor) -> Value:
        """A weight of the program under its own name, if it is free."""
        name = self.free_name(name)
        self.initializers[name] = to_proto(tensor.detach(), name)
        return Value(name, TensorSpec.of(tensor), tensor.detach())

    def int4_weight(self, value: Value, integers: Tensor) -> Value:
        """A weight as integers of 4 bits, under its own name unless something reads its bytes."""
        is_read = any(value.name in node.input for node in self.nodes)
        name = self.free_name(value.name) if is_read else value.name
        self.initializers[name] = int4_proto(integers, name)
        return Value(name)

    def constant(self, tensor: Tensor) -> Value:
        """A tensor that is no weight; equal small ones are one."""
        tensor = tensor.detach().contiguous()
        if tensor.numel() > 64:
            return self._store(tensor)
        key = (tensor.dtype, tuple(tensor.shape), to_proto(tensor, "").raw_data)
        if key not in self._constants:
            self._constants[key] = self._store(tensor)
        return self._constants[key]

    def _store(self, tensor: Tensor) -> Value:
        return self.weight(f"constant_{len(self.initializers)}", tensor)

    def ints(self, numbers: Sequence[int]) -> Value:
        """A list of integers: a shape, axes, paddings."""
        return self.constant(torch.tensor(list(numbers), dtype=torch.int64))

    def scalar(self, number: Number, dtype: torch.dtype) -> Value:
        """A number as a tensor without axes."""
        return self.constant(torch.tensor(number, dtype=dtype))

    def cast(self, value: Value | Number, dtype: torch.dtype) -> Value:
        """A value, which has a spec, or a number in another dtype; itself if it has it already."""
        if not isinstance(value, Value):
            return self.scalar(value, dtype)
        if value.dtype == dtype:
            return value
        return self.to(value, dtype)

    def to(self, value: Value, dtype: torch.dtype) -> Value:
        """A node that changes the dtype."""
        result = self("Cast", value, to=element_type(dtype))
        spec = value.spec and TensorSpec(value.shape, str(dtype).removeprefix("torch."))
        return Value(result.name, spec)

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """The same elements under another shape, without -1; itself if it has it already."""
        shape = tuple(shape)
        if value.spec is not None and value.shape == shape:
            return value
        zero = {"allowzero": 1} if 0 in shape else {}
        if zero:
            self.needs(14, "tensors without elements")
        result = self("Reshape", value, self.ints(shape), **zero)
        return Value(result.name, value.spec and TensorSpec(shape, value.spec.dtype))

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """The axes in another order."""
        if list(order) == list(range(len(order))):
            return value
        result = self("Transpose", value, perm=list(order))
        if value.spec is None:
            return result
        shape = tuple(value.shape[axis] for axis in order)
        return Value(result.name, TensorSpec(shape, value.spec.dtype))

    def reduce(
        self, op_type: str, value: Value, axes: Sequence[int] | None, keepdim: bool = False
    ) -> Value:
        """A reduction over some axes, or over all (None)."""
        if axes is not None and not axes:
            axes = None
        keep = int(keepdim)
        if self.opset < (13 if op_type == "ReduceSum" else 18):
            kwargs = {} if axes is None else {"axes": list(axes)}
            return self(op_type, value, keepdims=keep, **kwargs)
        return self(op_type, value, None if axes is None else self.ints(axes), keepdims=keep)

    def needs(self, opset: int, what: str = "") -> None:
        """Refuse what this version of ONNX cannot say."""
        if self.opset < opset:
            raise CompileError(
                f"ONNX can say {what or self.operator} from operator set {opset} on",
                at=str(self.origin),
                got=f"{self.operator}, opset={self.opset}",
                fix=f"export with opset={opset} or more",
            )

    def refused(self, reason: str) -> CompileError:
        """The error to raise where the operator cannot be said; `reason` is half a sentence."""
        return CompileError(
            f"cannot export the operator {self.operator}", at=str(self.origin), got=reason
        )

    def free_name(self, wanted: str) -> str:
        """`wanted`, or with a number behind it if it is taken; taken from now on."""
        name = wanted
        while name in self._taken:
            self._taken[wanted] += 1
            name = f"{wanted}_{self._taken[wanted]}"
        self._taken[name] = 0
        return name

    def rename(self, old: str, new: str) -> None:
        """Give the result of a node the name of an output."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    if name == old:
                        names[index] = new


def _folder(origin: Origin) -> str:
    """What names of nodes begin with: "/a/b" for the module a.b and for ONNX's "/a/b/Conv"."""
    parts = [part for part in origin.module_path.replace(".", "/").split("/") if part]
    if parts[-1:] == [origin.module_type]:
        parts.pop()
    return "".join(f"/{part}" for part in parts)
