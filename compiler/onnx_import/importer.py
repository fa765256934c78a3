"""`import_onnx`: an ONNX model as a module to trace, with inputs to trace it with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import CompileError
from ..frontend.export import quiet
from .call import Value
from .graph_model import GraphModel
from .interface import Shapes, identifier, make_inputs, read_inputs
from .linear_layers import join_linear_layers
from .load import load
from .resolve import Resolver
from .weight_names import name_weights


@dataclass(frozen=True)
class Imported:
    """An ONNX model in PyTorch.

    Args:
        module: Takes the inputs by position and gives the outputs, several as a tuple.
        inputs: To trace it with.
        input_names: One for each tensor among the inputs, made of letters, digits and _.
        output_names: One for each tensor among the outputs.
    """

    module: GraphModel
    inputs: tuple[Any, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]


def import_onnx(model: Any, example_inputs: object, shapes: Shapes | None) -> Imported:
    """Read a model, calculate what is known, and say the rest in PyTorch.

    Args:
        model: Path of an .onnx file, `onnx.ModelProto` or `onnx_graphsurgeon.Graph`.
        example_inputs: What to trace with, None to make zeros of the declared shapes.
        shapes: Shapes for inputs and sizes for named dimensions that the model leaves open.

    Raises:
        CompileError: The model is malformed, leaves sizes open, or holds something that cannot be
            said in PyTorch; it names the node.
    """
    try:
        with quiet():
            return _import(model, example_inputs, shapes)
    except CompileError:
        raise
    except Exception as error:  # files may hold anything, and onnx and numpy raise what they like
        raise CompileError(
            "the ONNX model is malformed in a way that penjing did not expect",
            got=f"{type(error).__name__}: {error}",
            fix="onnx.checker.check_model may say more",
        ) from error


def _import(model: Any, example_inputs: object, shapes: Shapes | None) -> Imported:
    source = load(model)
    specs = read_inputs(source.model.graph)
    inputs = make_inputs(specs, example_inputs, shapes)
    named = {spec.name: value for spec, value in zip(specs, inputs, strict=True)}
    steps = name_weights(join_linear_layers(Resolver(source).resolve(named)))
    output_names = [value.name for value in source.model.graph.output]
    module = GraphModel(steps)
    return Imported(
        module,
        tuple(inputs),
        _flat_names("input", [spec.name for spec in specs], inputs),
        _flat_names("output", output_names, [_nested(value) for value in steps.outputs]),
    )


def _nested(value: Value) -> Any:
    return value if value.items is None else [_nested(item) for item in value.items]


def _flat_names(role: str, names: Sequence[str], trees: Sequence[Any]) -> tuple[str, ...]:
    """A distinct name for each leaf of the trees; those in lists have their positions appended."""
    found: list[str] = []
    for name, tree in zip(names, trees, strict=True):
        for candidate in _names(identifier(name, role), tree):
            while candidate in found:
                candidate += "_"
            found.append(candidate)
    return tuple(found)


def _names(name: str, tree: Any) -> list[str]:
    if isinstance(tree, list):
        return [found for i, item in enumerate(tree) for found in _names(f"{name}_{i}", item)]
    return [] if tree is None else [name]
