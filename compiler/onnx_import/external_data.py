"""The bytes of tensors that lie in files beside the model, never in any other place."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from onnx import TensorProto

from ..errors import CompileError

_FIX = "keep the files of the weights in the model's own folder, where the exporter put them"


def read_external(tensor: TensorProto, folder: Path | None, size: int) -> bytes:
    """`size` bytes of a tensor that is stored outside of the model.

    Args:
        tensor: Names the file, relative to the model's folder, and where in it the tensor starts.
        folder: The model's; None for models that did not come from a file.
        size: Bytes that the dtype and shape ask for.

    Raises:
        CompileError: The file is missing, too short, or not inside of `folder`, links followed.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _path(tensor, entries.get("location", ""), folder)
    offset = _number(tensor, entries, "offset", 0)
    length = _number(tensor, entries, "length", size)
    if length != size or offset + size > path.stat().st_size:
        raise CompileError(
            "a weight does not fit the file that should hold it",
            at=tensor.name,
            got=f"{size} bytes by its shape, {length} named, from byte {offset} of"
            f" {path.stat().st_size} in {path.name}",
            fix="export the model again, or copy its files again",
        )
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _path(tensor: TensorProto, location: str, folder: Path | None) -> Path:
    if folder is None:
        raise CompileError(
            "the model's weights are in a file, and the model did not come from one",
            at=tensor.name,
            got=location,
            fix="pass the path of the .onnx file, or onnx.load it with its external data",
        )
    is_relative = not (PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor)
    home = folder.resolve()
    path = (home / location).resolve() if is_relative and "\0" not in location else home
    if not is_relative or home not in path.parents:
        raise CompileError(
            "a weight lies outside of the model's folder", at=tensor.name, got=location, fix=_FIX
        )
    if not path.is_file():
        raise CompileError(
            "the file of a weight is missing", at=tensor.name, got=location, fix=_FIX
        )
    return path


def _number(tensor: TensorProto, entries: dict[str, str], key: str, default: int) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit()):
        raise CompileError(
            f"the {key} of a weight in its file must be a number", at=tensor.name, got=text
        )
    return int(text)
