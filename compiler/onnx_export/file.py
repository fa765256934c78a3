"""ONNX models on disk: written whole or not at all, large weights beside them."""

import os
import tempfile
from pathlib import Path

import onnx

from ..errors import CompileError

MOST_EMBEDDED_BYTES = 2**30  # protobuf reads files below 2 GiB
_LEAST_EXTERNAL_BYTES = 1024  # smaller tensors stay in the model: shapes are read from it


def save_onnx(model: onnx.ModelProto, path: Path, external_data: bool | None = None) -> None:
    """Check a model and write it to `path`; nothing is left there where that fails.

    Args:
        model: Its weights move out of it if they are written beside it.
        path: Of the file.
        external_data: Whether weights are in a file of their own, `path` with ".data" behind; None
            for where they are more than 1 GiB.

    Raises:
        CompileError: The folder cannot be written to, or the model is not valid.
    """
    path = Path(path)
    if external_data is None:
        external_data = weight_bytes(model) > MOST_EMBEDDED_BYTES
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            written = Path(folder) / path.name
            _write(model, written, external_data)
            data = sorted(Path(folder).iterdir(), key=lambda file: file == written)
            for file in data:  # the model last: what it refers to is there
                os.replace(file, path.parent / file.name)
    except OSError as error:
        raise CompileError(
            f"cannot write {path}: {error}", fix="give a file in a folder"
        ) from error


def weight_bytes(model: onnx.ModelProto) -> int:
    """Bytes of all weights and constants."""
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def _write(model: onnx.ModelProto, path: Path, external_data: bool) -> None:
    onnx.save_model(
        model,
        path,
        "protobuf",
        save_as_external_data=external_data,
        location=f"{path.name}.data",
        size_threshold=_LEAST_EXTERNAL_BYTES,
    )
    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        lines = str(error).strip().splitlines()
        raise CompileError(
            "the exported model is not valid ONNX",
            at=str(path),
            got=lines[0] if lines else type(error).__name__,
            fix="a bug in penjing's ONNX export; another opset may do",
        ) from error
