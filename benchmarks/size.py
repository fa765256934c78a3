"""Bytes that a network needs on the device: on disk, and in memory while it runs.

python -m benchmarks.size [NETWORK ...] [--only RUNTIME ...] [--python PATH ...] [--json FILE]

`libraries` is the size of the shared libraries that the runtime loaded, as its Python package ships
them, `model` that of its model's files; penjing has no runtime, its model is the library. `code`
is the library without its weights, `arena` the working memory that its caller gives, `peak` what
running added to the memory of the process, with inputs and outputs already there.
"""

from pathlib import Path
from typing import Any

from .cpu import Options, parse_measuring, start
from .table import Row, publish

_MODEL_FILES = {
    "penjing": ("libmodel.so",),
    "onnxruntime": ("model.onnx", "model.onnx.data"),
    "openvino": ("model.onnx", "model.onnx.data"),
    "ncnn": ("model.param", "model.bin"),
    "executorch": ("model.pte",),
    "litert": ("model.tflite",),
}


def main() -> None:
    """Measure every network in every runtime that has files of its own."""
    options = parse_measuring(__doc__, runtimes=list(_MODEL_FILES))
    rows = [
        measure(runtime, network, options)
        for network in options.networks
        for runtime in options.only
    ]
    publish(rows, options.json)


def measure(runtime: str, network: str, options: Options) -> Row:
    """One row of the table."""
    row, folder, peer = start(runtime, network, 1, options)
    if peer is not None:
        peer.close()
    sizes: dict[str, Any] = dict.fromkeys(("code", "arena", "model", "libraries", "peak"))
    if not row["refused"]:
        files = [folder / name for name in _MODEL_FILES[runtime]]
        sizes["model"] = sum(file.stat().st_size for file in files if file.exists())
        sizes["libraries"], sizes["peak"] = row["runtime bytes"], row["peak bytes"]
    if not row["refused"] and runtime == "penjing":
        sizes |= _own_sizes(folder)
    kept = {"network": network, "runtime": runtime, "version": row["version"]}
    return {**kept, **sizes, "note": row["refused"]}


def _own_sizes(folder: Path) -> dict[str, int]:
    from penjing.compiler.artifact import load

    sizes = load(folder).manifest.sizes
    return {"code": sizes.library_bytes - sizes.weights_bytes, "arena": sizes.arena_bytes}


if __name__ == "__main__":
    main()
