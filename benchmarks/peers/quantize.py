"""Networks with int8 weights and activations as other runtimes quantize them.

Convolutional networks are calibrated on random numbers, as ours are: how fast a network is does not
depend on its scales.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

Inputs = tuple[torch.Tensor, ...]
_BATCHES = 2


def to_onnx(model: nn.Module, inputs: Inputs, folder: Path, *, dynamic: bool) -> None:
    """By onnxruntime's tool: uint8 activations, int8 weights per channel, nodes that round.

    Args:
        model: In float32.
        inputs: To trace it with.
        folder: Where model.onnx is written.
        dynamic: Whether scales of activations are found as it runs, as onnxruntime advises for
            transformers. They are static in all other networks.
    """
    import onnx
    from onnxruntime import quantization as tool

    with tempfile.TemporaryDirectory() as name:
        plain, ready = Path(name, "plain.onnx"), Path(name, "ready.onnx")
        torch.onnx.export(
            model, inputs, str(plain), dynamo=True, verbose=False, external_data=False
        )
        tool.quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        result = str(folder / "model.onnx")
        if dynamic:
            tool.quantize_dynamic(str(ready), result, per_channel=True)
            return
        names = [entry.name for entry in onnx.load(str(ready)).graph.input]
        has_tokens = not all(tensor.is_floating_point() for tensor in inputs)
        tool.quantize_static(
            str(ready),
            result,
            _Reader(names, inputs),
            per_channel=True,
            activation_type=tool.QuantType.QUInt8,
            weight_type=tool.QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"] if has_tokens else None,
        )


def to_executorch(model: nn.Module, inputs: Inputs) -> Any:
    """The exported program with XNNPACK's quantizer: static, symmetric weights per channel."""
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    exported = torch.export.export(model, inputs).module()
    quantizer = xnnpack.XNNPACKQuantizer()
    config = xnnpack.get_symmetric_quantization_config(is_per_channel=True)
    if all(tensor.is_floating_point() for tensor in inputs):
        quantizer.set_global(config)
    else:  # it would round indices of embeddings too
        quantizer.set_module_type(nn.Linear, config)
    prepared = prepare_pt2e(exported, quantizer)
    for batch in _batches(inputs):
        prepared(*batch)
    return torch.export.export(convert_pt2e(prepared), inputs)


class _Reader:
    """Calibration data by the names of inputs, as onnxruntime's tool takes it."""

    def __init__(self, names: list[str], inputs: Inputs) -> None:
        self._rest = _batches(inputs)
        self._names = names

    def get_next(self) -> dict[str, Any] | None:
        """The inputs of one inference, None after the last."""
        batch = next(self._rest, None)
        arrays = None if batch is None else [tensor.numpy() for tensor in batch]
        return None if arrays is None else dict(zip(self._names, arrays, strict=True))


def _batches(inputs: Inputs) -> Iterator[Inputs]:
    for _ in range(_BATCHES):
        yield tuple(torch.randn_like(x) if x.is_floating_point() else x for x in inputs)
