"""Convert a network into the files of a runtime, with the inputs and torch's outputs beside them.

python -m benchmarks.peers.convert RUNTIME NETWORK FOLDER

A network with the suffix "_int8" is quantized, by the runtime's own tool; what it gives is compared
with the outputs in float32.
"""

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..networks import SUFFIX, build_float
from . import quantize

Inputs = tuple[torch.Tensor, ...]
_LONGEST = 160  # characters of a refusal


def main() -> None:
    """Write FOLDER, or FOLDER/refused with the reason why it cannot be."""
    runtime, network, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    warnings.simplefilter("ignore")
    model, inputs = build_float(network.removesuffix(SUFFIX))
    converters = INT8 if network.endswith(SUFFIX) else CONVERTERS
    if (runtime, network) in (("ncnn", "minilm"), ("executorch", "minilm_int8")):
        inputs = _with_float_mask(*inputs)
    with torch.inference_mode():
        _save_values(folder / "inputs.npz", inputs)
        result = model(*inputs)
        _save_values(folder / "expected.npz", result if isinstance(result, tuple) else (result,))
    try:
        with torch.no_grad():
            if runtime not in converters:
                raise NotImplementedError(f"{runtime} is not measured with int8")
            converters[runtime](model, inputs, folder)
    except Exception as error:
        text = next(iter(str(error).strip().splitlines()), "").replace(str(Path.home()), "~")
        (folder / "refused").write_text(f"{type(error).__name__}: {text}"[:_LONGEST])


def _with_float_mask(ids: torch.Tensor, mask: torch.Tensor) -> Inputs:
    """The mask as what attention adds to its scores.

    ncnn cannot compute one from the other, nor can ExecuTorch's quantizer prepare that.
    """
    added = (1 - mask[:, None, None].float()) * -1e9
    return ids, added.expand(-1, -1, mask.shape[1], -1).contiguous()


def _save_values(path: Path, tensors: Inputs) -> None:
    arrays: dict[str, Any] = {f"{i:03d}": tensor.numpy() for i, tensor in enumerate(tensors)}
    np.savez(path, **arrays)


def _to_onnx(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    options: dict[str, Any] = {"dynamo": True, "verbose": False}
    torch.onnx.export(model, inputs, str(folder / "model.onnx"), **options)


def _to_ncnn(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    """With pnnx's program: its Python function also loads what it wrote, which may fail."""
    from pnnx import EXEC_PATH

    torch.jit.trace(model, inputs).save(str(folder / "model.pt"))
    kinds = {torch.float32: "f32", torch.int64: "i64"}
    shapes = [f"[{','.join(map(str, x.shape))}]{kinds[x.dtype]}" for x in inputs]
    files = ["ncnnparam=model.param", "ncnnbin=model.bin", "fp16=0"]
    command = [EXEC_PATH, "model.pt", f"inputshape={','.join(shapes)}", *files]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for file in {folder / "model.pt", *folder.glob("model*pnnx*"), *folder.glob("*.py")}:
        file.unlink()


def _to_int8_onnx(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    """For OpenVINO, which has scales of activations in the model."""
    quantize.to_onnx(model, inputs, folder, dynamic=False)


def _to_own_int8_onnx(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    """For onnxruntime, in the way that it advises for the kind of network."""
    has_tokens = not all(tensor.is_floating_point() for tensor in inputs)
    quantize.to_onnx(model, inputs, folder, dynamic=has_tokens)


def _to_int8_executorch(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    _save_executorch(quantize.to_executorch(model, inputs), folder)


def _to_executorch(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    _save_executorch(torch.export.export(model, inputs), folder)


def _save_executorch(exported: Any, folder: Path) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    (folder / "model.pte").write_bytes(edge.to_executorch().buffer)


def _to_litert(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    import litert_torch

    litert_torch.convert(model, inputs).export(str(folder / "model.tflite"))


def _keep(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    """Torch runs the model itself."""


def _to_tvm_opencl(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    from .tvm_opencl import convert

    convert(model, inputs, folder)


def _to_penjing_opencl(model: nn.Module, inputs: Inputs, folder: Path) -> None:
    import penjing

    penjing.compile(model, inputs, target="opencl").save(folder)


def _to_penjing(threads: int, *, int8: bool = False) -> Callable[[nn.Module, Inputs, Path], None]:
    def convert(model: nn.Module, inputs: Inputs, folder: Path) -> None:
        import penjing

        program: Any = model
        if int8:
            from ..quantized import quantized

            program, inputs = quantized(model, inputs)
        penjing.compile(program, inputs, target="host", threads=threads).save(folder)

    return convert


CONVERTERS: dict[str, Callable[[nn.Module, Inputs, Path], None]] = {
    "penjing-1": _to_penjing(1),
    "penjing-2": _to_penjing(2),
    "onnxruntime": _to_onnx,
    "openvino": _to_onnx,
    "ncnn": _to_ncnn,
    "executorch": _to_executorch,
    "litert": _to_litert,
    "eager": _keep,
    "inductor": _keep,
    "penjing-opencl": _to_penjing_opencl,
    "penjing-fallback": _to_penjing_opencl,
    "tvm-opencl": _to_tvm_opencl,
    "ncnn-vulkan": _to_ncnn,
}

INT8: dict[str, Callable[[nn.Module, Inputs, Path], None]] = {
    "penjing-1": _to_penjing(1, int8=True),
    "penjing-2": _to_penjing(2, int8=True),
    "onnxruntime": _to_own_int8_onnx,
    "openvino": _to_int8_onnx,
    "executorch": _to_int8_executorch,
}

if __name__ == "__main__":
    main()
