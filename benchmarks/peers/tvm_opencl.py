"""TVM's own way to OpenCL: Relax's pipeline for GPUs with its default schedules.

Nothing of it is in penjing's lowering, which schedules by itself. TVM's package has no run time for
OpenCL: its kernels are launched by `opencl.Device` in the order of the lowered program.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .opencl import Device

Arrays = list[np.ndarray]

_TARGET = {"kind": "opencl", "device": "mali"}  # of those in this version, the one for mobile GPUs


def convert(model: nn.Module, inputs: tuple[torch.Tensor, ...], folder: Path) -> None:
    """Write kernels.cl, program.json and constants.npz."""
    import tvm
    from torch.fx.experimental.optimization import fuse
    from tvm import relax
    from tvm.relax.backend.gpu_generic.pipeline import legalize_passes
    from tvm.relax.frontend.torch import from_exported_program

    exported = torch.export.export(fuse(model), inputs)
    module = from_exported_program(exported, keep_params_as_input=False)
    target = tvm.target.Target(_TARGET)
    with target:
        module = tvm.transform.Sequential(
            [relax.transform.DecomposeOpsForInference(), *legalize_passes(target)]
        )(module)
    Writer(module, target).write(folder)


class Writer:
    """Walks the lowered program: what is bound to calls of kernels becomes launches."""

    def __init__(self, module: Any, target: Any) -> None:
        self.module, self.target = module, target
        self.sources: dict[str, str] = {}
        self.launches: dict[str, list[dict[str, Any]]] = {}  # of each function of the program
        self.buffers: list[list[Any]] = []  # shape and dtype
        self.constants: dict[str, np.ndarray] = {}  # by the buffer's number
        self.steps: list[dict[str, Any]] = []
        self.places: dict[Any, list[int]] = {}  # buffers of a variable: several of a tuple

    def write(self, folder: Path) -> None:
        """Walk, and save."""
        main = self.module["main"]
        inputs = [self._new(parameter.ty) for parameter in main.params]
        for parameter, place in zip(main.params, inputs, strict=True):
            self.places[parameter] = place
        for block in main.body.blocks:
            for binding in block.bindings:
                self.places[binding.var] = self._bind(binding)
        program = {
            "inputs": [place[0] for place in inputs],
            "outputs": self._of(main.body.body),
            "buffers": self.buffers,
            "steps": self.steps,
        }
        (folder / "program.json").write_text(json.dumps(program))
        (folder / "kernels.cl").write_text("\n".join(self.sources.values()))
        arrays: dict[str, Any] = dict(self.constants)
        np.savez(folder / "constants.npz", **arrays)

    def _bind(self, binding: Any) -> list[int]:
        from tvm import ir

        value = binding.value
        is_call = isinstance(value, ir.Call) and value.op.name == "relax.call_tir"
        if not is_call:
            return self._of(value)
        function = value.args[0].name_hint
        arguments = [place for field in value.args[1].fields for place in self._of(field)]
        results = self._new(value.ty_args[0])
        if function not in self.launches:
            self.sources[function], self.launches[function] = lower(
                self.module[function], function, self.target
            )
        own = [*arguments, *results]
        for launch in self.launches[function]:
            self.steps.append({**launch, "arguments": [own[i] for i in launch["arguments"]]})
        return results

    def _of(self, value: Any) -> list[int]:
        """The buffers of an expression."""
        from tvm import ir

        if isinstance(value, ir.GenericConst):
            array = value.value.numpy()
            place = self._add(list(array.shape), str(array.dtype))
            self.constants[str(place)] = array
            return [place]
        if isinstance(value, ir.Tuple):
            return [place for field in value.fields for place in self._of(field)]
        if isinstance(value, ir.TupleGetItem):
            return [self._of(value.tuple_value)[value.index]]
        if isinstance(value, ir.Call) and value.op.name == "relax.reshape":
            return self._of(value.args[0])
        return self.places[value]

    def _new(self, info: Any) -> list[int]:
        from tvm import relax

        if isinstance(info, relax.TupleType):
            return [place for field in info.fields for place in self._new(field)]
        return [self._add([int(extent) for extent in info.shape], str(info.dtype))]

    def _add(self, shape: list[int], dtype: str) -> int:
        self.buffers.append([shape, dtype])
        return len(self.buffers) - 1


def lower(function: Any, name: str, target: Any) -> tuple[str, list[dict[str, Any]]]:
    """OpenCL C of a scheduled function, and its launches by TVM's pipeline without packed calls."""
    import tvm
    import tvm_ffi
    from tvm import s_tir, tirx

    x, s = tirx.transform, s_tir.transform
    passes = [
        *(s.CanonicalizeLoop(), s.LowerCrossThreadReduction(), s.LowerInitBlock()),
        *(s.PlanAndUpdateBufferAllocationLocation(), s.ConvertBlocksToOpaque()),
        *(s.LiftThreadBinding(), s.CompactBufferAllocation(), s.LowerAutoCopy()),
        *(s.UnifyThreadBinding(), s.LowerMatchBuffer(), s.StmtSimplify(), s.LowerOpaqueBlock()),
        *(x.FlattenBuffer(), x.NarrowDataType(32), s.LoopPartition(), x.VectorizeLoop(True)),
        *(s.InjectVirtualThread(), x.StorageRewrite(), s.HoistIfThenElse(), x.UnrollLoop()),
        *(s.RenormalizeSplitPattern(), x.StmtSimplify(), x.RemoveNoOp()),
        *(s.RewriteUnsafeSelect(), x.VerifyMemory(), x.AnnotateEntryFunc()),
        *(s.ThreadSync("shared"), s.ThreadSync("warp"), s.LowerThreadAllreduce()),
        *(s.MergeSharedMemoryAllocations(), x.SplitHostDevice()),
    ]
    host = tvm.target.Target({"kind": "c"})
    module = tvm.IRModule({name: function.with_attr("global_symbol", name)})
    module = x.BindTarget(target.with_host(host))(module)
    module = tvm.ir.transform.Sequential(passes)(module)
    kernels = {
        symbol: kernel
        for symbol, kernel in module.functions.items()
        if kernel.attrs and int(kernel.attrs.get("calling_conv", 0)) == 2
    }
    (entry,) = [kernel for symbol, kernel in module.functions.items() if symbol not in kernels]
    calls: list[Any] = []
    tvm_ffi.structural_walk(
        entry.body,
        lambda node: (
            calls.append(node)
            if getattr(getattr(node, "op", None), "name", "") == "tirx.call_ffi_kernel"
            else None
        ),
    )
    device = tvm.ir.transform.Sequential([x.LowerWarpMemory(), x.LowerIntrin()])(
        tvm.IRModule(kernels)
    )
    source = tvm.get_global_func("target.build.opencl")(device, target).inspect_source()
    return source, [_launch(call, entry) for call in calls]


def _launch(call: Any, entry: Any) -> dict[str, Any]:
    places = {parameter.name: place for place, parameter in enumerate(entry.params)}
    tags = list(call.attrs.launch_params)
    extents = [int(extent) for extent in call.args[-len(tags) :]]
    groups, group = [1, 1, 1], [1, 1, 1]
    for tag, extent in zip(tags, extents, strict=True):
        (groups if tag.startswith("blockIdx") else group)["xyz".index(tag[-1])] = extent
    names = [str(buffer).split(".")[0] for buffer in call.args[1 : -len(tags)]]
    return {
        "function": call.args[0].value,
        "arguments": [places[name] for name in names],
        "items": [count * size for count, size in zip(groups, group, strict=True)],
        "group": group,
    }


def session(
    folder: Path, inputs: Arrays, device: Device
) -> tuple[Callable[[], Any], Callable[[], Arrays]]:
    """One inference on a device, and its outputs."""
    program = json.loads((folder / "program.json").read_text())
    arrays = {
        place: np.zeros(shape, dtype) for place, (shape, dtype) in enumerate(program["buffers"])
    }
    with np.load(folder / "constants.npz") as constants:
        arrays |= {int(place): constants[place] for place in constants}
    buffers = {place: device.buffer(array) for place, array in arrays.items()}
    built = device.build((folder / "kernels.cl").read_text())
    kernels = [
        (
            device.kernel(built, step["function"], [buffers[place] for place in step["arguments"]]),
            step,
        )
        for step in program["steps"]
    ]
    outputs = [arrays[place] for place in program["outputs"]]

    def run() -> None:
        for place, array in zip(program["inputs"], inputs, strict=True):
            device.write(buffers[place], array)
        for kernel, step in kernels:
            device.release(device.launch(kernel, step["items"], step["group"]))
        for place, array in zip(program["outputs"], outputs, strict=True):
            device.read(buffers[place], array)
        device.finish()

    return run, lambda: outputs
