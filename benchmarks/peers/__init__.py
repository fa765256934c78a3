"""Other runtimes beside penjing: convert a network for each, run each in a process of its own.

A runtime may be in the environment of another interpreter; nothing here imports penjing but the
part that compiles for it.
"""

from .process import Peer, prepare, runtime_version

RUNTIMES = (
    "penjing",
    "onnxruntime",
    "openvino",
    "ncnn",
    "executorch",
    "litert",
    "eager",
    "inductor",
)

__all__ = ["RUNTIMES", "Peer", "prepare", "runtime_version"]
