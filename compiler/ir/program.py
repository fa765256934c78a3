"""The program: a flat, static, always runnable `torch.fx` graph with its weights."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.fx import Graph, GraphModule, Interpreter, Node

from ..errors import CompileError
from ..pass_report import PassReport
from .inference import Specs, fake_of, specs_of
from .structure import Structure
from .tensor_spec import TensorSpec
from .weights import delete_weight, get_weight, has_name, named_weights, set_weight

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class Origin:
    """Where in the user's model a node comes from; empty strings where nobody knows."""

    module_path: str = ""  # "encoder.layer.0.attention"
    module_type: str = ""  # "BertAttention"
    source: str = ""  # "modeling_bert.py:240"

    def __str__(self) -> str:
        module = f"{self.module_path or 'model'} ({self.module_type or 'module'})"
        return f"{module}, {self.source}" if self.source else module


def node_specs(node: Node) -> Specs:
    """The spec of a node's value; a tuple of them for an op with several results."""
    return specs_of(node.meta["val"])


def node_spec(node: Node) -> TensorSpec:
    """The spec of a node with one result."""
    specs = node_specs(node)
    assert isinstance(specs, TensorSpec), f"{node} has several results"
    return specs


def origin_of(node: Node) -> Origin:
    """The origin of a node, an empty one where a rewrite recorded none."""
    origin = node.meta.get("origin", Origin())
    assert isinstance(origin, Origin), origin
    return origin


@dataclass(eq=False)
class Program:
    """A model as a flat graph of ATen ops, executable and trainable in PyTorch.

    The graph holds placeholders (all tensors, first), `get_attr` nodes (weights, by their name in
    the user's model), `call_function` nodes (operator overloads and `operator.getitem`) and one
    output node with a flat tuple of nodes. Every node has `meta["val"]` (dense FakeTensors) and
    `meta["origin"]`.

    Args:
        module: Owns the graph and the weights. Its compiled `forward` follows `graph` only after
            `recompile()` or `tidy()`; `run` and `run_flat` always do.
        input_names: A name for each placeholder.
        output_names: A name for each output.
        in_spec: Structure of `(args, kwargs)` as the user calls the model.
        out_spec: Structure of what the user's model returns.
        reports: What each pass did that made the program what it is.
    """

    module: GraphModule
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    in_spec: Structure
    out_spec: Structure
    reports: tuple[PassReport, ...] = ()

    @property
    def graph(self) -> Graph:
        """The graph; edit it in place, then call `tidy()`."""
        return self.module.graph

    @property
    def input_nodes(self) -> tuple[Node, ...]:
        """The placeholders, in the order of `input_names`."""
        return tuple(self.graph.find_nodes(op="placeholder"))

    @property
    def output_nodes(self) -> tuple[Node, ...]:
        """The nodes that the program returns, in the order of `output_names`."""
        nodes = self.graph.output_node().args[0]
        assert isinstance(nodes, (tuple, list)), nodes
        return tuple(nodes)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The spec of each input tensor."""
        return tuple(node_spec(node) for node in self.input_nodes)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The spec of each output tensor."""
        return tuple(node_spec(node) for node in self.output_nodes)

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Every weight by its name; the tensors are the program's own."""
        return dict(named_weights(self.module))

    def weight(self, node: Node) -> torch.Tensor:
        """The tensor that a `get_attr` node reads."""
        assert node.op == "get_attr" and isinstance(node.target, str), node
        return get_weight(self.module, node.target)

    def add_weight(self, tensor: torch.Tensor, name: str = "", like: Node | None = None) -> Node:
        """A new `get_attr` node for `tensor`, stored dense under `name` or a fresh name.

        Args:
            tensor: An `nn.Parameter` stays trainable, anything else is a buffer.
            name: Preferred dotted name; a number is appended if it is taken. A dot in front, behind
                the name of no module, does not count.
            like: The node whose origin the new node takes.
        """
        name = self._free_name(name.lstrip("."))
        set_weight(self.module, name, tensor)
        with self.graph.inserting_before(self._first_call()):
            node = self.graph.create_node("get_attr", name)
        node.meta["val"] = fake_of(TensorSpec.of(tensor))
        node.meta["origin"] = Origin() if like is None else origin_of(like)
        return node

    def replace_weight(self, node: Node, tensor: torch.Tensor) -> None:
        """Give the weight that a `get_attr` node reads a new value, of any shape and dtype."""
        assert node.op == "get_attr" and isinstance(node.target, str), node
        set_weight(self.module, node.target, tensor)
        node.meta["val"] = fake_of(TensorSpec.of(tensor))

    def tidy(self) -> int:
        """Drop dead nodes and unused weights, recompile `module`; the number of nodes dropped."""
        dropped = self.drop_dead()
        self.module.recompile()
        return dropped

    def drop_dead(self) -> int:
        """Drop dead nodes and unused weights; the number of nodes dropped."""
        before = len(self.graph.nodes)
        dead = [n for n in reversed(self.graph.nodes) if n.op not in ("placeholder", "output")]
        for node in dead:
            if not node.users:
                self.graph.erase_node(node)
        used = {node.target for node in self.graph.find_nodes(op="get_attr")}
        for name in self.weights:
            if name not in used:
                delete_weight(self.module, name)
        return before - len(self.graph.nodes)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What the user's model returns for these inputs, computed by PyTorch without gradients.

        Takes the inputs as the model does, or all input tensors in the order of `input_names`.
        """
        with torch.no_grad():
            return self.out_spec.unflatten(self.run_flat(*self.flatten_inputs(args, kwargs)))

    def run_flat(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """Flat inputs to flat outputs; gradients flow unless the caller turned them off."""
        for name, spec, tensor in zip(self.input_names, self.inputs, tensors, strict=True):
            if (got := TensorSpec.of(tensor)) != spec:
                raise CompileError(
                    f"input {name} must be {spec}", got=str(got), fix="trace with inputs like it"
                )
        return list(Interpreter(self.module).run(*tensors))

    def flatten_inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
        """The input tensors in the order of `input_names`, from a call of the user's model."""
        is_flat = not kwargs and all(isinstance(arg, torch.Tensor) for arg in args)
        if is_flat and len(args) == len(self.input_names):
            return list(args)
        return self.in_spec.flatten((tuple(args), kwargs))

    def copy(self) -> "Program":
        """A program that shares nothing with this one."""
        graph = Graph()
        mapping: dict[Node, Node] = {}
        graph.output(graph.graph_copy(self.graph, mapping))
        for old, new in mapping.items():
            new.meta = dict(old.meta)
        graph.output_node().meta = dict(self.graph.output_node().meta)
        module = GraphModule(nn.Module(), Graph())
        for name, tensor in self.weights.items():
            set_weight(module, name, copy.deepcopy(tensor))
        module.graph = graph
        return replace(self, module=module)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Program":
        return self.copy()

    def save(self, path: str | Path) -> None:
        """Write the program, with its weights, to one file that `Program.load` reads back."""
        from .serialize import save_program

        save_program(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Program":
        """The program saved at `path`."""
        from .serialize import load_program

        return load_program(Path(path))

    def to_onnx(
        self,
        path: str | Path | None = None,
        *,
        opset: int | None = None,
        external_data: bool | None = None,
    ) -> "ModelProto":
        """The program as an ONNX model, which is also checked and written to `path`.

        Inputs, outputs and weights keep their names, nodes are called after the modules that they
        come from. Quantize and dequantize nodes are ONNX's; docs/onnx.md says what else becomes
        what.

        Args:
            path: Of the file; None writes none.
            opset: Version of ONNX's operators, 13 or more; None for 20, or 21 where weights have
                steps for groups, or norms are of groups.
            external_data: Whether weights are in a file beside it, `path` with ".data" behind; None
                for where they are more than 1 GiB.

        Raises:
            CompileError: An operator cannot be said in ONNX, or the file cannot be written.
        """
        from ..onnx_export.export import to_onnx_model
        from ..onnx_export.file import save_onnx

        model = to_onnx_model(self, opset)
        if path is not None:
            save_onnx(model, Path(path), external_data)
        return model

    def __str__(self) -> str:
        from .text import program_text

        return program_text(self)

    def _free_name(self, wanted: str) -> str:
        if wanted and not has_name(self.module, wanted):
            return wanted
        stem, number = (f"{wanted}_" if wanted else "_constants."), 0
        while has_name(self.module, f"{stem}{number}"):
            number += 1
        return f"{stem}{number}"

    def _first_call(self) -> Node:
        leading = ("placeholder", "get_attr")
        first: Node = next(node for node in self.graph.nodes if node.op not in leading)
        return first
