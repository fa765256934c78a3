"""One loaded model of each runtime, ready to be run on the same inputs again and again.

A session is a pair of functions: one runs an inference, which is what is timed; one gives the
outputs of the last. Loading, the inputs and the threads are set before.
"""

import ctypes
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = list[np.ndarray]
Session = tuple[Callable[[], Any], Callable[[], Arrays]]


def penjing(folder: Path, inputs: Arrays, threads: int) -> Session:
    """The library through its C interface."""
    manifest = json.loads((folder / "model.json").read_text())
    library = ctypes.CDLL(str(folder / "libmodel.so"))
    if threads > 1:
        library.model_set_threads(threads)
    outputs = [np.empty(entry["shape"], entry["dtype"]) for entry in manifest["outputs"]]
    arena_bytes = manifest["sizes"]["arena_bytes"]
    memory = np.empty(arena_bytes + 64, np.uint8)
    address = -(-memory.ctypes.data // 64) * 64
    arguments = (
        _pointers(inputs),
        _pointers(outputs),
        ctypes.c_void_p(address),
        ctypes.c_size_t(arena_bytes),
    )
    keep = (memory, inputs)

    def run() -> None:
        status = library.model_run(*arguments)
        assert status == 0 and keep, status

    return run, lambda: outputs


def onnxruntime(folder: Path, inputs: Arrays, threads: int) -> Session:
    """With inputs and outputs bound, so that nothing is copied."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    file = str(folder / "model.onnx")
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for entry, array in zip(session.get_inputs(), inputs, strict=True):
        binding.bind_ortvalue_input(entry.name, ort.OrtValue.ortvalue_from_numpy(array))
    for entry in session.get_outputs():
        binding.bind_output(entry.name)
    return lambda: session.run_with_iobinding(binding), binding.copy_outputs_to_cpu


def openvino(folder: Path, inputs: Arrays, threads: int) -> Session:
    """In float32, without the hint that lets it compute in bfloat16."""
    import openvino as ov
    from openvino._pyopenvino import InferRequest

    config = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    }
    compiled = ov.Core().compile_model(str(folder / "model.onnx"), "CPU", config)
    request = compiled.create_infer_request()
    for index, array in enumerate(inputs):
        request.set_input_tensor(index, ov.Tensor(array, shared_memory=True))
    places = range(len(compiled.outputs))
    return (
        lambda: InferRequest.infer(request, {}, share_outputs=True, decode_strings=False),
        lambda: [request.get_output_tensor(index).data for index in places],
    )


def ncnn(folder: Path, inputs: Arrays, threads: int) -> Session:
    """In float32: reduced precision of storage and arithmetic is off."""
    return _ncnn(folder, inputs, threads, vulkan=False)


def ncnn_vulkan(folder: Path, inputs: Arrays, threads: int) -> Session:
    """The same on the first Vulkan device."""
    return _ncnn(folder, inputs, threads, vulkan=True)


def _ncnn(folder: Path, inputs: Arrays, threads: int, *, vulkan: bool) -> Session:
    import ncnn as library

    if vulkan and not library.get_gpu_count():
        raise RuntimeError("no Vulkan device")
    net = library.Net()
    options = net.opt
    options.num_threads, options.use_vulkan_compute = threads, vulkan
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
    options.use_bf16_storage = options.use_bf16_packed = False
    if net.load_param(str(folder / "model.param")) or net.load_model(str(folder / "model.bin")):
        raise RuntimeError("ncnn cannot load the model")
    mats = [library.Mat(_without_batch(array)) for array in inputs]
    names, results = net.input_names(), net.output_names()
    found: list[Any] = []

    def run() -> None:
        found.clear()
        extractor = net.create_extractor()
        for name, mat in zip(names, mats, strict=True):
            extractor.input(name, mat)
        for name in results:
            status, mat = extractor.extract(name)
            if status:
                raise RuntimeError(f"ncnn cannot compute {name}: {status}")
            found.append(mat)

    return run, lambda: [np.array(mat) for mat in found]


def executorch(folder: Path, inputs: Arrays, threads: int) -> Session:
    """With the delegate XNNPACK; its threads are those of one pool of the process."""
    import torch
    from executorch.extension.pybindings.portable_lib import _load_for_executorch

    root = Path(torch.__file__).parents[1] / "executorch" / "lib"
    pool = ctypes.CDLL(str(root / "libexecutorch_threadpool.so"))
    space = "_ZN10executorch9extension10threadpool"
    find = pool[f"{space}14get_threadpoolEv"]
    find.restype = ctypes.c_void_p
    pool[f"{space}10ThreadPool24_unsafe_reset_threadpoolEj"](
        ctypes.c_void_p(find()), ctypes.c_uint(threads)
    )
    module = _load_for_executorch(str(folder / "model.pte"))
    tensors = [torch.from_numpy(array) for array in inputs]
    outputs: list[Any] = []

    def run() -> None:
        outputs[:] = module.forward(tensors)

    return run, lambda: [tensor.numpy() for tensor in outputs]


def litert(folder: Path, inputs: Arrays, threads: int) -> Session:
    """With the delegate XNNPACK, its default."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "model.tflite"), num_threads=threads)
    interpreter.allocate_tensors()
    for entry, array in zip(_in_order(interpreter.get_input_details()), inputs, strict=True):
        interpreter.set_tensor(entry["index"], array.astype(entry["dtype"]))
    places = [entry["index"] for entry in _in_order(interpreter.get_output_details())]
    return interpreter.invoke, lambda: [interpreter.get_tensor(place) for place in places]


def eager(folder: Path, inputs: Arrays, threads: int) -> Session:
    """Torch as it is."""
    return _torch(folder, inputs, threads, compiled=False)


def inductor(folder: Path, inputs: Arrays, threads: int) -> Session:
    """torch.compile with frozen weights."""
    return _torch(folder, inputs, threads, compiled=True)


def _torch(folder: Path, inputs: Arrays, threads: int, *, compiled: bool) -> Session:
    import torch

    from ..networks import build

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    model: Any = build((folder / "network").read_text())[0]
    if compiled:
        import torch._inductor.config as config

        config.freezing = True
        model = torch.compile(model)
    tensors = [torch.from_numpy(array) for array in inputs]
    outputs: list[Any] = []

    def run() -> None:
        result = model(*tensors)
        outputs[:] = result if isinstance(result, tuple) else [result]

    return run, lambda: [tensor.numpy() for tensor in outputs]


def penjing_opencl(folder: Path, inputs: Arrays, threads: int) -> Session:
    """The library for GPUs on the first OpenCL device, or that of $PENJING_DEVICE."""
    return _on_device(folder, inputs, runs=1)


def penjing_fallback(folder: Path, inputs: Arrays, threads: int) -> Session:
    """The same library on the CPU, as it does where there is no device."""
    return _on_device(folder, inputs, runs=2)


def _on_device(folder: Path, inputs: Arrays, *, runs: int) -> Session:
    from penjing.compiler.runners.opencl import Config

    manifest = json.loads((folder / "model.json").read_text())
    library = ctypes.CDLL(str(folder / "libmodel.so"))
    library.model_message.restype = ctypes.c_char_p
    size, name = ctypes.sizeof(Config), os.environ.get("PENJING_DEVICE", "").encode()
    config = Config(size=size, runs=runs, any_device=1, device=name or None)
    session = ctypes.c_void_p()
    if library.model_create(ctypes.byref(config), ctypes.byref(session)):
        raise RuntimeError(library.model_message(session).decode())
    outputs = [np.empty(entry["shape"], entry["dtype"]) for entry in manifest["outputs"]]
    arguments = session, _pointers(inputs), _pointers(outputs)
    keep = inputs

    def run() -> None:
        status = library.model_run(*arguments)
        assert status == 0 and keep, status

    return run, lambda: outputs


def tvm_opencl(folder: Path, inputs: Arrays, threads: int) -> Session:
    """TVM's kernels on the first OpenCL device, or that of $PENJING_DEVICE."""
    from .opencl import Device
    from .tvm_opencl import session

    return session(folder, inputs, Device(os.environ.get("PENJING_DEVICE", "")))


def _pointers(arrays: Arrays) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def _without_batch(array: np.ndarray) -> np.ndarray:
    kept = array.astype(np.int32) if array.dtype == np.int64 else array
    return np.ascontiguousarray(kept[0])


def _in_order(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tensors in the order of the signature: their names end in a number."""

    def number(entry: dict[str, Any]) -> int:
        digits = "".join(c if c.isdigit() else " " for c in entry["name"]).split()
        return int(digits[-1]) if digits else 0

    return sorted(details, key=number)


SESSIONS: dict[str, Callable[[Path, Arrays, int], Session]] = {
    "penjing": penjing,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "ncnn": ncnn,
    "executorch": executorch,
    "litert": litert,
    "eager": eager,
    "inductor": inductor,
    "penjing-opencl": penjing_opencl,
    "penjing-fallback": penjing_fallback,
    "tvm-opencl": tvm_opencl,
    "ncnn-vulkan": ncnn_vulkan,
}
