"""Malformed models, and files that are not what they say, are refused with a clear error."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, external_data_helper, helper, numpy_helper

import penjing
from penjing import CompileError
from penjing.compiler.onnx_import.clean import clean
from penjing.compiler.onnx_import.importer import import_onnx
from penjing.compiler.onnx_import.read_tensor import read_sparse, read_tensor

from .graphs import model_of, node

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def _model(**changes: object) -> onnx.ModelProto:
    model = model_of([node("MatMul", "x w", "y")], {"x": [1, 2]}, ["y"], {"w": WEIGHT})
    for name, value in changes.items():
        setattr(model.graph.initializer[0], name, value)
    return model


def _external(folder: Path) -> Path:
    path = folder / "model.onnx"
    model = _model()
    external_data_helper.convert_model_to_external_data(
        model, location="data.bin", size_threshold=0
    )
    onnx.save(model, path)
    return path


def _with_location(folder: Path, **entries: str) -> Path:
    path = _external(folder)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = entries.pop(entry.key, entry.value)
    for key, value in entries.items():
        model.graph.initializer[0].external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_a_file_beside_the_model(tmp_path: Path) -> None:
    program = penjing.trace(_external(tmp_path))
    np.testing.assert_array_equal(program.weights["w"].detach(), WEIGHT.T)


@pytest.mark.parametrize("location", ["../data.bin", "/etc/passwd", "C:\\data.bin", "", ".", "a\0"])
def test_weights_outside_of_the_folder_are_not_read(location: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(WEIGHT.tobytes())
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(CompileError, match="outside of the model's folder"):
        import_onnx(_with_location(inner, location=location), None, None)


def test_links_to_outside_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    path = _external(inner)
    (inner / "data.bin").rename(tmp_path / "data.bin")
    (inner / "data.bin").symlink_to(tmp_path / "data.bin")
    with pytest.raises(CompileError, match="outside of the model's folder"):
        import_onnx(path, None, None)


def test_pipes_are_not_read(tmp_path: Path) -> None:
    path = _with_location(tmp_path, location="pipe")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CompileError, match="missing"):
        import_onnx(path, None, None)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "none.bin"}, "missing"),
        ({"offset": "4"}, "does not fit the file"),
        ({"offset": "-4"}, "must be a number"),
        ({"length": "10"}, "does not fit the file"),
        ({"length": "x"}, "must be a number"),
        ({"offset": str(1 << 70)}, "does not fit the file"),
    ],
)
def test_weights_that_do_not_fit_their_file(
    entries: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CompileError, match=message):
        import_onnx(_with_location(tmp_path, **entries), None, None)


def test_a_model_in_memory_has_no_folder(tmp_path: Path) -> None:
    model = onnx.load(_external(tmp_path), load_external_data=False)
    with pytest.raises(CompileError, match="did not come from one"):
        import_onnx(model, None, None)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(CompileError, match="there is no file"):
        import_onnx(path, None, None)
    for data in (b"", b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 100):
        path.write_bytes(data)
        with pytest.raises(CompileError, match=r"is not an ONNX model|holds no graph"):
            import_onnx(path, None, None)
    with pytest.raises(CompileError, match="there is no file"):
        import_onnx(tmp_path, None, None)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data, path = _model().SerializeToString(), tmp_path / "model.onnx"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(CompileError):
            import_onnx(path, None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"data_type": 0},
        {"data_type": 99},
        {"data_type": TensorProto.DOUBLE},
        {"raw_data": b"123"},
        {"data_type": TensorProto.STRING},
    ],
)
def test_weights_that_do_not_fit_their_shape(changes: dict[str, object]) -> None:
    with pytest.raises(CompileError, match="a tensor of the ONNX model is malformed"):
        import_onnx(_model(**changes), None, None)


@pytest.mark.parametrize("shape", [[-1], [1 << 40, 1 << 40], [7]])
@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.INT4, TensorProto.BOOL])
def test_absurd_shapes_take_no_memory(shape: list[int], dtype: int) -> None:
    raw = TensorProto(dims=shape, data_type=dtype, raw_data=b"12", name="w")
    fields = TensorProto(dims=shape, data_type=dtype, name="w")
    fields.int32_data.append(1)
    fields.float_data.append(1)
    for tensor in (raw, fields):
        with pytest.raises(CompileError, match="malformed") as caught:
            read_tensor(tensor, None)
        assert caught.value.at == "w"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int4", "uint4", "float8_e4m3fn", "bool"])
def test_every_kind_of_number_is_read(dtype: str) -> None:
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(kind)
    np.testing.assert_array_equal(read_tensor(numpy_helper.from_array(values), None), values)
    number = helper.np_dtype_to_tensor_dtype(kind)
    fields = helper.make_tensor("w", number, (2, 3), values.reshape(-1).tolist())
    np.testing.assert_array_equal(read_tensor(fields, None), values)


def test_every_byte_but_zero_is_true() -> None:
    tensor = TensorProto(dims=[3], data_type=TensorProto.BOOL, raw_data=b"\0\1\2")
    assert read_tensor(tensor, None).view(np.uint8).tolist() == [0, 1, 1]


def test_sparse_tensors_are_filled_up() -> None:
    values = numpy_helper.from_array(np.array([5, 7], np.float32), "w")
    places = numpy_helper.from_array(np.array([[0, 1], [1, 2]]))
    sparse = helper.make_sparse_tensor(values, places, [2, 3])
    np.testing.assert_array_equal(read_sparse(sparse, None), [[0, 5, 0], [0, 0, 7]])
    flat = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([1, 5])), [2, 3])
    np.testing.assert_array_equal(read_sparse(flat, None), [[0, 5, 0], [0, 0, 7]])
    for dims in ([1 << 40], [-3, 3], [1, 1]):
        with pytest.raises(CompileError, match="malformed"):
            read_sparse(helper.make_sparse_tensor(values, places, dims), None)


def test_missing_weights_are_named() -> None:
    model = _model()
    del model.graph.initializer[0]
    with pytest.raises(CompileError, match="nothing in it gives") as caught:
        import_onnx(model, None, None)
    assert caught.value.got == "w"


def test_circles_are_refused() -> None:
    nodes = [node("Add", "x b", "a"), node("Neg", "a", "b")]
    with pytest.raises(CompileError, match="in a circle") as caught:
        import_onnx(model_of(nodes, {"x": [1]}, ["b"]), None, None)
    assert caught.value.got in ("Add <- Neg", "Neg <- Add")


def test_long_graphs_may_be_in_any_order() -> None:
    nodes = [node("Neg", f"v{i}" if i else "x", f"v{i + 1}") for i in range(1500)]
    model = model_of(nodes[::-1], {"x": [1]}, ["v1500"])
    assert len(clean(model.graph.node, ["v1500"])) == 1500


def test_double_definitions_are_refused() -> None:
    nodes = [node("Neg", "x", "a"), node("Abs", "x", "a")]
    with pytest.raises(CompileError, match="defined twice"):
        import_onnx(model_of(nodes, {"x": [1]}, ["a"]), None, None)
    with pytest.raises(CompileError, match=r"defined twice|in a circle"):
        import_onnx(model_of([node("Neg", "x", "x")], {"x": [1]}, ["x"]), None, None)


def test_outputs_that_nothing_gives_are_refused() -> None:
    with pytest.raises(CompileError, match="nothing in it gives"):
        import_onnx(model_of([node("Neg", "x", "a")], {"x": [1]}, ["b"]), None, None)


@pytest.mark.parametrize("kind", [AttributeProto.UNDEFINED, AttributeProto.TENSORS])
def test_attributes_of_odd_types_are_refused(kind: int) -> None:
    model = model_of([node("Neg", "x", "a", axis=1)], {"x": [1]}, ["a"])
    model.graph.node[0].attribute[0].type = kind
    with pytest.raises(CompileError, match="attribute axis of a node is malformed"):
        import_onnx(model, None, None)


def test_inputs_of_types_that_are_not_compiled_are_refused() -> None:
    for dtype, name in ((TensorProto.STRING, "string"), (TensorProto.UINT32, "uint32")):
        model = model_of([node("Identity", "x", "a")], {"x": [1]}, ["a"], dtype=dtype)
        with pytest.raises(CompileError, match="type that penjing does not compile") as caught:
            import_onnx(model, None, None)
        assert name in caught.value.got


def test_results_of_types_that_are_not_compiled_are_refused() -> None:
    model = model_of([node("Cast", "x", "a", to=TensorProto.UINT16)], {"x": [1]}, ["a"])
    with pytest.raises(CompileError, match="operator Cast") as caught:
        import_onnx(model, None, None)
    assert "uint16, which programs do not hold" in caught.value.got


def test_a_few_bytes_do_not_become_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known results are calculated up to a size; what is larger than any device is refused."""
    nodes = [node("Expand", "one shape", "e"), node("Mul", "x e", "y")]
    weights = {"one": np.float32(1), "shape": np.array([1 << 14, 1 << 14])}
    imported = import_onnx(model_of(nodes, {"x": [1]}, ["y"], weights), None, None)
    assert not any(p.numel() > 1 << 20 for p in imported.module.buffers())
    weights["shape"] = np.array([1 << 30, 1 << 30])
    with pytest.raises(CompileError, match="its result has"):
        import_onnx(model_of(nodes, {"x": [1]}, ["y"], weights), None, None)


@pytest.mark.parametrize("op_type", ["RandomNormal", "Bernoulli"])
def test_random_numbers_are_refused(op_type: str) -> None:
    inputs = "x" if op_type == "Bernoulli" else ""
    attributes = {} if op_type == "Bernoulli" else {"shape": [2]}
    model = model_of([node(op_type, inputs, "y", **attributes)], {"x": [1]}, ["y"])
    with pytest.raises(CompileError, match=op_type) as caught:
        import_onnx(model, None, None)
    assert "random" in caught.value.got


def test_importing_penjing_does_not_import_onnx() -> None:
    code = "import penjing, sys; penjing.trace; assert 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
