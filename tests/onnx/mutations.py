"""ONNX models to break, and ways to break them; the same seed breaks them the same way."""

import random
from collections.abc import Callable

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from .graphs import model_of, node

HUGE = (-1, -(2**63), 2**31, 2**62, 2**63 - 1, 1 << 40)


def seeds() -> list[onnx.ModelProto]:
    """Small models that hold everything the reader has to take apart."""
    return [_convolutions(), _control_flow(), _sequences(), _functions(), _shapes(), _quantized()]


def _convolutions() -> onnx.ModelProto:
    weights = {
        "conv.weight": np.ones((4, 3, 3, 3), np.float32),
        "conv.bias": np.zeros(4, np.float32),
        "fc.weight": np.ones((2, 4), np.float32),
    }
    nodes = [
        node("Conv", "x conv.weight conv.bias", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f fc.weight", "y", transB=1, alpha=0.5),
    ]
    return model_of(nodes, {"x": [1, 3, 8, 8]}, ["y"], weights)


def _control_flow() -> onnx.ModelProto:
    row = helper.make_tensor_value_info("state", TensorProto.FLOAT, [4])
    body = helper.make_graph(
        [node("Add", "state w", "next"), node("Identity", "go", "goes"), node("Neg", "next", "o")],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            row,
        ],
        [helper.make_empty_tensor_value_info(name) for name in ("goes", "next", "o")],
        [numpy_helper.from_array(np.ones(4, np.float32), "w")],
    )
    branch = helper.make_graph(
        [node("Abs", "last", "a")], "branch", [], [helper.make_empty_tensor_value_info("a")]
    )
    nodes = [
        node("Loop", "n - x", "last rows", body=body),
        node("ReduceSum", "last", "s", keepdims=0),
        node("Greater", "s zero", "c"),
        node("If", "c", "y", then_branch=branch, else_branch=branch),
    ]
    weights = {"n": np.int64(3), "zero": np.float32(0)}
    return model_of(nodes, {"x": [4]}, ["y", "rows"], weights)


def _sequences() -> onnx.ModelProto:
    nodes = [
        node("SplitToSequence", "x", "s", axis=1),
        node("SequenceInsert", "s x one", "t"),
        node("SequenceAt", "t minus", "last"),
        node("ConcatFromSequence", "t", "all", axis=1),
        node("Concat", "last all", "y", axis=1),
    ]
    weights = {"one": np.int64(1), "minus": np.int64(-1)}
    return model_of(nodes, {"x": [2, 3]}, ["y"], weights)


def _functions() -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    inner = helper.make_function(
        "own", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], opsets[:1]
    )
    body = [node("Twice", "a", "t", domain="own"), node("Mul", "t t", "b")]
    outer = helper.make_function("own", "Outer", ["a"], ["b"], body, opsets)
    call = node("Outer", "x", "y", domain="own")
    return model_of([call], {"x": [3]}, ["y"], functions=[inner, outer], opset_imports=opsets)


def _shapes() -> onnx.ModelProto:
    filled = node("ConstantOfShape", "target", "z", value=numpy_helper.from_array(np.ones(1)))
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "batch", axis=0),
        node("Concat", "batch rest", "target", axis=0),
        node("Reshape", "x target", "r"),
        filled,
        node("Cast", "z", "zf", to=TensorProto.FLOAT),
        node("Add", "r zf", "a"),
        node("Slice", "a starts ends", "s"),
        node("Pad", "s pads", "p"),
        node("Expand", "p wide", "e"),
        node("Range", "first last step", "k"),
        node("Tile", "e repeats", "y"),
    ]
    weights = {
        "zero": np.array([0]),
        "rest": np.array([6]),
        "starts": np.array([0, 1]),
        "ends": np.array([2, 5]),
        "pads": np.array([0, 1, 0, 1]),
        "wide": np.array([3, 2, 6]),
        "repeats": np.array([1, 2, 1]),
        "first": np.int64(0),
        "last": np.int64(9),
        "step": np.int64(2),
    }
    return model_of(nodes, {"x": [2, 2, 3]}, ["y", "k"], weights)


def _quantized() -> onnx.ModelProto:
    nodes = [
        node("QuantizeLinear", "x scale zero", "q"),
        node("DequantizeLinear", "q scale zero", "d"),
        node("DequantizeLinear", "w wide_scale", "dw", axis=0),
        node("MatMul", "d dw", "y"),
    ]
    weights = {
        "scale": np.float32(0.1),
        "zero": np.int8(3),
        "w": np.arange(12, dtype=np.int8).reshape(3, 4),
        "wide_scale": np.full(3, 0.5, np.float32),
    }
    model = model_of(nodes, {"x": [1, 3]}, ["y"], weights)
    model.graph.input.append(helper.make_tensor_value_info("zero", TensorProto.INT8, []))
    return model


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """Bytes of a file, some of them lost, changed or repeated."""
    for _ in range(draw.randint(1, 4)):
        place, length = draw.randrange(len(data) + 1), draw.randint(1, 16)
        way = draw.randrange(5)
        if way == 0:
            data = data[:place]
        elif way == 1:
            data = data[:place] + data[place + length :]
        elif way == 2:
            data = data[:place] + draw.randbytes(length) + data[place + length :]
        elif way == 3:
            other = draw.randrange(len(data) + 1)
            data = data[:place] + data[other : other + 8 * length] + data[place:]
        else:
            flipped = bytearray(data)
            if flipped:
                flipped[place % len(flipped)] ^= 1 << draw.randrange(8)
            data = bytes(flipped)
    return data


def mutated_model(model: onnx.ModelProto, draw: random.Random) -> onnx.ModelProto:
    """A model that is well-formed as a file, and wrong in what it says."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for _ in range(draw.randint(1, 3)):
        draw.choice(_WAYS)(changed, draw)
    return changed


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    graphs = [model.graph, *model.functions]
    found = [node for graph in graphs for node in graph.node]
    inner = [a.g for n in found for a in n.attribute if a.type == AttributeProto.GRAPH]
    return found + [node for graph in inner for node in graph.node]


def _rewire(model: onnx.ModelProto, draw: random.Random) -> None:
    nodes = _nodes(model)
    names = [name for node in nodes for name in (*node.input, *node.output)] + ["", "missing"]
    one = draw.choice(nodes)
    values = one.input if draw.random() < 0.7 and one.input else one.output
    if values:
        values[draw.randrange(len(values))] = draw.choice(names)


def _change_operator(model: onnx.ModelProto, draw: random.Random) -> None:
    schemas = sorted({schema.name for schema in onnx.defs.get_all_schemas()})
    draw.choice(_nodes(model)).op_type = draw.choice(schemas)


def _change_arity(model: onnx.ModelProto, draw: random.Random) -> None:
    one = draw.choice(_nodes(model))
    values = draw.choice([one.input, one.output])
    if values and draw.random() < 0.6:
        del values[draw.randrange(len(values))]
    else:
        values.append(draw.choice([*values, "extra"]))


def _change_attribute(model: onnx.ModelProto, draw: random.Random) -> None:
    attributes = [attribute for node in _nodes(model) for attribute in node.attribute]
    one = draw.choice(attributes) if attributes else None
    if one is None or draw.random() < 0.2:
        value = draw.choice([*HUGE, -1.5, "text", [1, -2], [0.5], []])
        if value != []:
            name = draw.choice(["axis", "axes", "to", "keepdims", "group", "strides", "body"])
            draw.choice(_nodes(model)).attribute.append(helper.make_attribute(name, value))
        return
    one.i, one.f = draw.choice(HUGE), draw.choice([-1.0, float("nan"), float("inf")])
    if one.ints:
        one.ints[draw.randrange(len(one.ints))] = draw.choice(HUGE)
    if draw.random() < 0.3:
        one.type = draw.choice(list(AttributeProto.AttributeType.values()))
    if draw.random() < 0.2:
        one.name = draw.choice(["axis", "value", "other"])


def _change_tensor(model: onnx.ModelProto, draw: random.Random) -> None:
    tensors = list(model.graph.initializer)
    tensors += [a.t for n in _nodes(model) for a in n.attribute if a.type == AttributeProto.TENSOR]
    if not tensors:
        return
    one, way = draw.choice(tensors), draw.randrange(6)
    if way == 0:
        one.data_type = draw.choice([*TensorProto.DataType.values(), 77])
    elif way == 1:
        one.dims.append(draw.choice([*HUGE, 0, 1, 2]))
    elif way == 2 and one.dims:
        one.dims[draw.randrange(len(one.dims))] = draw.choice([*HUGE, 0, 1, 2])
    elif way == 3:
        one.raw_data = one.raw_data[: draw.randrange(len(one.raw_data) + 1)]
    elif way == 4:
        one.raw_data = draw.randbytes(len(one.raw_data))
    else:
        one.data_location = TensorProto.EXTERNAL
        place = draw.choice(["../../etc/passwd", "/etc/passwd", "missing.bin", "", ".", "a\0b"])
        one.external_data.add(key="location", value=place)
        one.external_data.add(key="offset", value=draw.choice(["-1", "x", str(1 << 60)]))


def _change_interface(model: onnx.ModelProto, draw: random.Random) -> None:
    graph, way = model.graph, draw.randrange(6)
    one = draw.choice([*graph.input, *graph.output])
    if way == 0:
        one.type.tensor_type.elem_type = draw.choice([*TensorProto.DataType.values(), 77])
    elif way == 1 and one.type.tensor_type.shape.dim:
        draw.choice(one.type.tensor_type.shape.dim).dim_value = draw.choice(HUGE)
    elif way == 2:
        one.name = draw.choice(["", "x", "y", "other"])
    elif way == 3:
        graph.output.append(one)
    elif way == 4:
        graph.input.append(one)
    else:
        one.ClearField("type")


def _change_opset(model: onnx.ModelProto, draw: random.Random) -> None:
    if model.opset_import:
        draw.choice(model.opset_import).version = draw.choice([*range(5, 30), *HUGE])


def _move_nodes(model: onnx.ModelProto, draw: random.Random) -> None:
    nodes = list(model.graph.node)
    draw.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes[draw.randrange(2) :])
    if draw.random() < 0.3 and nodes:
        model.graph.node.append(nodes[0])


_WAYS: list[Callable[[onnx.ModelProto, random.Random], None]] = [
    _rewire,
    _change_operator,
    _change_arity,
    _change_attribute,
    _change_tensor,
    _change_interface,
    _change_opset,
    _move_nodes,
]
