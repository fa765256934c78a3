"""Other runtimes beside penjing: convert a network for each, run each in a process of its own.

A runtime may be in the environment of another interpreter; nothing here imports penjing but the
part that compiles for it.
"""

from .process import ROOT, Peer, prepare, runtime_version

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

# On devices, beside the CPU's: benchmarks/gpu.py.
GPU_RUNTIMES = ("penjing-opencl", "penjing-fallback", "penjing", "ncnn-vulkan", "tvm-opencl")

__all__ = ["GPU_RUNTIMES", "ROOT", "RUNTIMES", "Peer", "prepare", "runtime_version"]
