"""The weights of an exported program as nodes of a new graph: copied once, tied ones shared."""

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec
from torch.fx import Graph, GraphModule, Node

from ..errors import CompileError
from ..ir.inference import fake_of
from ..ir.program import Origin
from ..ir.tensor_spec import TensorSpec
from ..ir.weights import set_weight
from .forms.complex_numbers import Complex

_PARTS = ("real", "imag")
_RESERVED = frozenset(dir(GraphModule(nn.Module(), Graph())))  # attributes that are no submodules


class WeightTable:
    """Makes one `get_attr` node for each distinct tensor of an exported program.

    `names` maps each name in the user's model to the name in the program: for tied weights the
    first of them, with an underscore after its
    first part where a graph module uses that itself.
    """

    def __init__(self, exported: ExportedProgram, root: str, graph: Graph) -> None:
        self.exported = exported
        self.root = root
        self.graph = graph
        self.names: dict[str, str] = {}
        self._nodes: dict[object, Node | Complex] = {}  # by what identifies a tensor
        self._first_names: dict[object, str] = {}
        for name, tensor in exported.state_dict.items():
            self._first_names.setdefault(_identity(tensor), name)
        self._copies: dict[str, torch.Tensor] = {}

    def node(self, spec: InputSpec) -> Node | Complex:
        """The `get_attr` node of a lifted parameter, buffer or constant; two for a complex one."""
        if spec.kind not in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            raise CompileError(
                "the model holds an object that is no tensor",
                at=str(spec.target),
                got=spec.kind.name.lower(),
                fix="keep TorchScript and other custom objects out of the model",
            )
        assert spec.target is not None
        tensor = self._tensor(spec.target)
        key = _identity(tensor)
        if key not in self._nodes:
            name = self._first_names.get(key, spec.target)
            self._nodes[key] = self._new_node(name, tensor)
        node = self._nodes[key]
        self.names[spec.target] = str((node.real if isinstance(node, Complex) else node).target)
        return node

    def store(self, module: nn.Module) -> None:
        """Register the copies on the module that owns the graph."""
        for name, tensor in self._copies.items():
            set_weight(module, name, tensor)

    def _tensor(self, name: str) -> torch.Tensor:
        tensor = self.exported.state_dict.get(name, self.exported.constants.get(name))
        assert isinstance(tensor, torch.Tensor), name
        is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
        is_dense = tensor.layout is torch.strided and not (tensor.is_quantized or is_wrapped)
        if tensor.is_meta or not is_dense:
            raise CompileError(
                "weights must be dense tensors with values",
                at=name,
                got=f"{tensor.layout} tensor of {tensor.dtype} on {tensor.device}",
                fix="load the weights and make them dense before compiling",
            )
        return tensor

    def _new_node(self, name: str, tensor: torch.Tensor) -> Node | Complex:
        if tensor.is_complex():
            parts = (self._new_real(f"{name}.{part}", getattr(tensor, part)) for part in _PARTS)
            return Complex(*parts)
        return self._new_real(name, tensor)

    def _new_real(self, name: str, tensor: torch.Tensor) -> Node:
        name = name.removeprefix(f"{self.root}.") if self.root else name
        first, dot, rest = name.partition(".")
        name = f"{first}_{dot}{rest}" if first in _RESERVED else name
        copied = tensor.detach().clone(memory_format=torch.contiguous_format).cpu()
        if isinstance(tensor, nn.Parameter):
            copied = nn.Parameter(copied, requires_grad=tensor.requires_grad)
        self._copies[name] = copied
        node = self.graph.create_node("get_attr", name)
        origin = Origin(name.rpartition(".")[0])
        node.meta = {"val": fake_of(TensorSpec.of(copied)), "origin": origin}
        return node


def _identity(tensor: torch.Tensor) -> object:
    place = tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.device
    if not tensor.numel():
        place = id(tensor), 0, tensor.device  # nothing to share
    return place, tensor.dtype, tuple(tensor.shape), tensor.stride()
