"""Runs one lowering rule as a kernel of its own and compares it with PyTorch."""

import ctypes
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tvm
from torch._ops import OpOverload
from torch.utils import _pytree as pytree
from tvm import te

import penjing.compiler.lowering.rules  # noqa: F401  (fills RULES)
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering.builder import KernelBuilder
from penjing.compiler.lowering.region import stored_output
from penjing.compiler.lowering.registry import RULES
from penjing.compiler.toolchain import find_toolchain
from penjing.targets.cpu.codegen import compile_kernels, lower_kernel
from penjing.targets.cpu.schedule import schedule_kernel
from penjing.targets.registry import get

TARGET = get("host")

# dtype of the result -> rtol, atol; integers and bools must be equal
TOLERANCES = {
    torch.float64: (1e-9, 1e-9),
    torch.float32: (1e-5, 1e-6),
    torch.float16: (2e-3, 1e-3),
    torch.bfloat16: (1e-2, 1e-2),
}


@dataclass(frozen=True)
class Weight:
    """Marks a tensor argument whose value the rule may read at compile time."""

    tensor: torch.Tensor


def check(
    op: OpOverload,
    *args: Any,
    rtol: float | None = None,
    atol: float | None = None,
    reference: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> None:
    """Compile the rule of `op` for these arguments, run it, compare with `reference` or `op`.

    Tensors among the arguments, also inside lists, become inputs of the kernel; wrap one in
    `Weight` to make it a constant. Everything else reaches the rule as it is.
    """
    plain_args, plain_kwargs = pytree.tree_map(_unwrap, (args, kwargs))
    wanted = (reference or op)(*plain_args, **plain_kwargs)
    expected = [wanted] if isinstance(wanted, torch.Tensor) else list(wanted)
    function, inputs, specs = build(op, *args, **kwargs)
    compared = [want for want, spec in zip(expected, specs, strict=True) if spec is not None]
    for result, want in zip(execute(function, inputs, specs), compared, strict=True):
        default_rtol, default_atol = TOLERANCES.get(want.dtype, (0.0, 0.0))
        torch.testing.assert_close(
            result,
            want.contiguous(),
            rtol=default_rtol if rtol is None else rtol,
            atol=default_atol if atol is None else atol,
            equal_nan=True,
        )


def run(op: OpOverload, *args: Any, **kwargs: Any) -> list[torch.Tensor]:
    """The results of the compiled rule of `op`."""
    return execute(*build(op, *args, **kwargs))


def execute(
    function: tvm.tirx.PrimFunc, inputs: list[torch.Tensor], specs: Sequence[TensorSpec | None]
) -> list[torch.Tensor]:
    """Schedule and compile the stages of a kernel, and call it.

    The bytes around everything that the kernel writes must stay as they are.
    """
    scheduled = schedule_kernel(function, TARGET, inputs=len(inputs), parallel=False)
    raw = lower_kernel(scheduled, "kernel", TARGET)
    written = [s for s in specs if s is not None]
    written += [TensorSpec((elements,), dtype) for elements, dtype in raw.workspaces]
    fenced = [_Fenced(spec) for spec in written]
    pointers = [t.data_ptr() for t in (*inputs, *(f.tensor for f in fenced))]
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "kernel.so"
        link(compile_kernels([raw], TARGET), library)
        ctypes.CDLL(str(library))["kernel"](*map(ctypes.c_void_p, pointers))
    for entry in fenced:
        entry.check()
    return [entry.tensor for entry in fenced[: len(fenced) - len(raw.workspaces)]]


class _Fenced:
    """A tensor between bytes of a known value."""

    FENCE, VALUE = 4096, 0xA5

    def __init__(self, spec: TensorSpec) -> None:
        end = self.FENCE + spec.nbytes
        bytes_ = torch.full((end + self.FENCE,), self.VALUE, dtype=torch.uint8)
        self._around = (bytes_[: self.FENCE], bytes_[end:])
        self.tensor = bytes_[self.FENCE : end].view(spec.torch_dtype).reshape(spec.shape)

    def check(self) -> None:
        """Fail if a kernel wrote in front of or behind the tensor."""
        for side, fence in zip(("in front of", "behind"), self._around, strict=True):
            assert bool((fence == self.VALUE).all()), f"the kernel wrote {side} a buffer"


def link(elf: bytes, library: Path) -> None:
    """Link an object to a shared library; calls into libm are undefined symbols and fail."""
    source = library.with_suffix(".o")
    source.write_bytes(elf)
    toolchain = find_toolchain(TARGET)
    arguments = ["-shared", "-nostdlib", "-Wl,-z,defs", "-o", str(library), str(source), "-lc"]
    toolchain.run([*arguments, toolchain.helpers], library.parent)


def build(
    op: OpOverload, *args: Any, **kwargs: Any
) -> tuple[tvm.tirx.PrimFunc, list[torch.Tensor], list[TensorSpec | None]]:
    """The kernel of `op` before scheduling, its inputs and the specs of its outputs.

    A result that the rule leaves out, because only training reads it, has None for a spec.
    """
    leaves, tree = pytree.tree_flatten((args, kwargs))
    values = {i: _dense(_unwrap(x)) for i, x in enumerate(leaves) if _is_tensor(x)}
    holders = {i: _placeholder(f"p{i}", value) for i, value in values.items()}
    constants = {t: _array(values[i]) for i, t in holders.items() if isinstance(leaves[i], Weight)}
    builder = KernelBuilder(TARGET, constants)

    fake_args, fake_kwargs = pytree.tree_map(_unwrap, (args, kwargs))
    with torch.no_grad():
        wanted = op(*fake_args, **fake_kwargs)
    single = isinstance(wanted, torch.Tensor)
    specs = [TensorSpec.of(tensor) for tensor in ([wanted] if single else wanted)]

    rule_args, rule_kwargs = tree.unflatten([holders.get(i, x) for i, x in enumerate(leaves)])
    extras = {"out": specs[0] if single else tuple(specs), "kernel": builder}
    entry = RULES[op]
    wants = {name: extras[name] for name in entry.wants}
    result = entry.rule(*rule_args, **rule_kwargs, **wants)
    results = [result] if single else list(result)
    for tensor, spec in zip(results, specs, strict=True):
        if tensor is None:
            continue
        got = TensorSpec(tuple(int(n) for n in tensor.shape), str(tensor.dtype))
        assert got == spec, f"{op}: the rule gives {got}, torch gives {spec}"

    inputs = list(values.values())
    for packed in builder.packed:
        inputs.append(_tensor(packed.data, str(packed.tensor.dtype)))
    parameters = [*holders.values(), *(packed.tensor for packed in builder.packed)]
    kept = [tensor for tensor in results if tensor is not None]
    outputs = [
        stored_output(_own_buffer(tensor, kept[:i]), None, builder.makes_images, i)
        for i, tensor in enumerate(kept)
    ]
    given = [None if t is None else spec for t, spec in zip(results, specs, strict=True)]
    return te.create_prim_func([*parameters, *outputs]), inputs, given


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor | Weight)


def _unwrap(leaf: Any) -> Any:
    return leaf.tensor if isinstance(leaf, Weight) else leaf


def _dense(value: torch.Tensor) -> torch.Tensor:
    """A copy in dense row-major layout, on the 64-byte boundary that torch allocates at."""
    return value.detach().clone(memory_format=torch.contiguous_format)


def _placeholder(name: str, value: torch.Tensor) -> te.Tensor:
    spec = TensorSpec.of(value)
    return te.placeholder(spec.shape, spec.dtype, name=name)


def _own_buffer(tensor: te.Tensor, others: list[te.Tensor]) -> te.Tensor:
    """The tensor, or a copy of it if it is an input or comes a second time."""
    if not isinstance(tensor.op, te.PlaceholderOp) and not any(map(tensor.same_as, others)):
        return tensor
    return te.compute(tensor.shape, lambda *indices: tensor(*indices), name="result")


def _array(value: torch.Tensor) -> np.ndarray[Any, np.dtype[Any]]:
    """The values as numpy; bfloat16 as uint16."""
    return (value.view(torch.uint16) if value.dtype is torch.bfloat16 else value).numpy()


def _tensor(data: np.ndarray[Any, np.dtype[Any]], dtype: str) -> torch.Tensor:
    tensor = _dense(torch.from_numpy(data))
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
