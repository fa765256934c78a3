"""An ONNX model from a file, a `ModelProto` or a graph of onnx-graphsurgeon, checked as a whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto

from ..errors import CompileError

OLDEST_OPSET = 6
NEWEST_OPSET = onnx.defs.onnx_opset_version()
STANDARD_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Source:
    """A model, and where the files of its weights lie.

    Args:
        model: Its protobuf.
        folder: None where it did not come from a file.
        opsets: Version of each operator set, by domain; ONNX's own is "".
    """

    model: ModelProto
    folder: Path | None
    opsets: dict[str, int]


def load(model: Any) -> Source:
    """Read a model without running or trusting anything in it.

    Args:
        model: Path of an .onnx file, an `onnx.ModelProto` or an `onnx_graphsurgeon.Graph`.

    Raises:
        CompileError: There is no such file, it is no ONNX model, or it needs operator sets that
            penjing does not know.
    """
    folder = None
    if isinstance(model, (str, Path)):
        path = Path(model)
        model, folder = _parse(path), path.parent
    elif not isinstance(model, ModelProto):
        import onnx_graphsurgeon

        model = onnx_graphsurgeon.export_onnx(model, do_type_check=False)
    _check_names(model)
    if not model.HasField("graph"):
        raise CompileError("the ONNX model holds no graph", fix="export the model again")
    return Source(model, folder, read_opsets(model.opset_import, "the model"))


def read_opsets(imports: Any, at: str) -> dict[str, int]:
    """The version of each operator set that a model or a function names.

    Raises:
        CompileError: ONNX's own is older or newer than those that penjing knows.
    """
    versions: dict[str, int] = {}
    for entry in imports:
        domain = "" if entry.domain in STANDARD_DOMAINS else entry.domain
        if domain and not 0 <= entry.version < 1 << 31:
            raise CompileError(
                "the version of an operator set is no sensible number",
                at=at,
                got=f"{domain} {entry.version}",
            )
        versions[domain] = max(entry.version, versions.get(domain, 0))
    own = versions.get("", NEWEST_OPSET)
    if not OLDEST_OPSET <= own <= NEWEST_OPSET:
        is_old = own < OLDEST_OPSET
        raise CompileError(
            f"ONNX operator sets {OLDEST_OPSET} to {NEWEST_OPSET} are read",
            at=at,
            got=f"operator set {own}",
            fix="export the model with a newer opset, or convert it by onnx.version_converter"
            if is_old
            else "export the model with an older opset, or install a newer onnx package",
        )
    return versions


def _parse(path: Path) -> ModelProto:
    if not path.is_file():
        raise CompileError(f"there is no file {path}")
    model = ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
        return model
    except Exception as error:  # the reader of protobuf raises a class of its own
        raise CompileError(
            f"{path} is not an ONNX model, or a part of one",
            got=str(error).strip().splitlines()[0] if str(error).strip() else "",
            fix="export it again, or copy it again; git-lfs: fetch the file, not its pointer"
            if path.suffix == ".onnx"
            else "paths are read as ONNX; torch.export.load and penjing.Program.load read others",
        ) from error


def _check_names(model: ModelProto) -> None:
    """Protobuf gives names that are no text as bytes, which nothing behind it expects."""
    for graph in (model.graph, *model.functions):
        for node in graph.node:
            names = (node.op_type, node.domain, node.name, *node.input, *node.output)
            if not all(isinstance(name, str) for name in names):
                raise CompileError("a name in the ONNX model is no text", got=str(names))
