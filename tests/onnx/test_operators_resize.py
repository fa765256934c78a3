"""Resize and Upsample against the node tests of the onnx package and onnxruntime."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper

from penjing.compiler.onnx_import.call import Call, Value
from penjing.compiler.onnx_import.registry import translation

from .node_cases import NodeCase, parametrize, run_case

# The stored outputs have a fractional size of the result; the text of the operator, onnxruntime and
# PyTorch have the size that it really has.
CONTRADICT_THE_TEXT = {
    "test_resize_downsample_scales_linear_align_corners",
    "test_resize_downsample_scales_cubic_align_corners",
}
HALF, ALIGN, ASYMMETRIC = "half_pixel", "align_corners", "asymmetric"


@parametrize("Resize", "Upsample")
def test_node_case(case: NodeCase) -> None:
    if case.name not in CONTRADICT_THE_TEXT:
        run_case(case)
        return
    with pytest.raises(AssertionError, match="not close"):
        run_case(case)


def check(
    shape: tuple[int, ...],
    *,
    scales: tuple[float, ...] = (),
    sizes: tuple[int, ...] = (),
    opset: int = 19,
    **attributes: Any,
) -> None:
    """The translation gives what onnxruntime gives."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    inputs = {
        "roi": np.zeros(0, np.float32) if 11 <= opset < 13 else None,
        "scales": np.array(scales, np.float32) if scales or 11 <= opset < 13 else None,
        "sizes": np.array(sizes) if sizes else None,
    }
    if opset < 11:
        inputs = {"scales": inputs["scales"]}
    given = {name: array for name, array in inputs.items() if array is not None}
    names = ["x", *(name if name in given else "" for name in inputs)]
    node = helper.make_node("Resize", names, ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "resize",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in given.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (wanted,) = session.run(None, {"x": x.numpy()})
    function = translation("", "Resize")
    assert function is not None
    values = [Value("x", x)] + [
        None if array is None else Value(name, torch.from_numpy(array), array)
        for name, array in inputs.items()
    ]
    got = function(Call("Resize", "resize", opset, values, attributes))
    torch.testing.assert_close(got, torch.from_numpy(wanted), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("coordinates", [HALF, ALIGN, ASYMMETRIC, "pytorch_half_pixel"])
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest(coordinates: str, rounding: str) -> None:
    for sizes in ((1, 2, 13, 5), (1, 2, 14, 20), (1, 2, 3, 1)):
        way: dict[str, Any] = {
            "coordinate_transformation_mode": coordinates,
            "nearest_mode": rounding,
        }
        check((1, 2, 7, 10), sizes=sizes, mode="nearest", **way)


@pytest.mark.parametrize("coordinates", [HALF, ALIGN, ASYMMETRIC, "pytorch_half_pixel"])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_interpolation(coordinates: str, mode: str) -> None:
    way: dict[str, Any] = {"coordinate_transformation_mode": coordinates, "mode": mode}
    for sizes in ((1, 2, 13, 5), (1, 2, 14, 20), (1, 2, 3, 1)):
        check((1, 2, 7, 10), sizes=sizes, **way)
    for scales in ((1, 1, 2.0, 2.0), (1, 1, 1.7, 0.6)):
        check((1, 2, 7, 10), scales=scales, **way)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("exclude", [0, 1])
def test_antialias(mode: str, exclude: int) -> None:
    way: dict[str, Any] = {"mode": mode, "antialias": 1, "exclude_outside": exclude}
    check((1, 2, 17, 30), sizes=(1, 2, 6, 11), opset=18, **way)


def test_other_numbers_of_axes() -> None:
    check((1, 2, 7), sizes=(1, 2, 12), mode="linear")
    check((1, 2, 3, 4, 5), sizes=(1, 2, 6, 5, 7), mode="linear")
    check((7, 10), sizes=(9, 4), mode="linear")


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_version_10_has_no_coordinates(mode: str) -> None:
    check((1, 2, 7, 10), scales=(1, 1, 2.0, 3.0), opset=10, mode=mode)
    check((1, 2, 7, 10), scales=(1, 1, 0.6, 0.5), opset=10, mode=mode)


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_what_pytorch_exports(opset: int) -> None:
    way: dict[str, Any] = {"coordinate_transformation_mode": ASYMMETRIC, "nearest_mode": "floor"}
    check((1, 2, 7, 10), scales=(1, 1, 2.0, 2.0), opset=opset, mode="nearest", **way)
