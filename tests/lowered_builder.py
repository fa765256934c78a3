"""Lowered programs built by hand, call by call, for the tests of everything after lowering."""

from dataclasses import replace

import numpy as np

from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering.program import Call, Lowered, Value, ValueKind
from penjing.targets.target import Target

ANY_TARGET = Target(
    name="test-cpu",
    triple="x86_64-linux-gnu",
    llvm_cpu="x86-64",
    simd_bits=128,
    simd_registers=16,
    l1d_bytes=32 * 1024,
    l2_bytes=1024 * 1024,
    zig_target="x86_64-linux-gnu.2.17",
    source="made up for tests",
)


class LoweredBuilder:
    """Collects values and calls; every method that makes a value returns its name."""

    def __init__(self, name: str = "model", target: Target = ANY_TARGET, threads: int = 1) -> None:
        self.name, self.target, self.threads = name, target, threads
        self.values: dict[str, Value] = {}
        self.calls: list[Call] = []
        self.inputs: list[str] = []

    def input(self, *shape: int, dtype: str = "float32") -> str:
        """The next input of the model."""
        index = len(self.inputs)
        spec = TensorSpec(shape, dtype)
        self.inputs.append(self._add(Value(name=f"x{index}", spec=spec, kind="input", index=index)))
        return self.inputs[-1]

    def constant(self, data: np.ndarray) -> str:
        """A weight."""
        spec = TensorSpec(data.shape, str(data.dtype))
        name = f"c{len(self.values)}"
        return self._add(Value(name=name, spec=spec, kind="constant", data=data))

    def view(self, name: str, *shape: int) -> str:
        """The same bytes as `name` in another shape."""
        spec = TensorSpec(shape, self.values[name].spec.dtype)
        kind: ValueKind = "constant" if self.values[name].kind == "constant" else "intermediate"
        view = Value(name=f"v{len(self.values)}", spec=spec, kind=kind, alias_of=name)
        return self._add(view)

    def call(
        self,
        kernel: str,
        reads: list[str],
        *shapes: tuple[int, ...],
        dtype: str = "float32",
        workspaces: tuple[int, ...] = (),
        inplace: tuple[tuple[int, int], ...] = (),
        leads: tuple[int | None, ...] = (),
        lead_unit: int = 1,
        macs: int = 0,
    ) -> list[str]:
        """A kernel call; gives the names of its results, one per shape."""
        writes = [self._buffer("intermediate", TensorSpec(shape, dtype)) for shape in shapes]
        scratch = [self._buffer("workspace", TensorSpec((n,), "float32")) for n in workspaces]
        call = Call(
            kernel=kernel,
            reads=tuple(reads),
            writes=tuple(writes),
            arguments=(*reads, *writes, *scratch),
            inplace=inplace,
            leads=leads,
            lead_unit=lead_unit,
            macs=macs,
            bytes=sum(self.values[name].spec.nbytes for name in (*reads, *writes)),
            ops=(f"test.{kernel}",),
            modules=(f"layer{len(self.calls)}",),
        )
        self.calls.append(call)
        return writes

    def build(self, *outputs: str) -> Lowered:
        """The program that returns `outputs`."""
        for index, name in enumerate(outputs):
            if self.values[name].kind == "intermediate":
                self.values[name] = replace(self.values[name], kind="output", index=index)
        return Lowered(
            name=self.name,
            target=self.target,
            threads=self.threads,
            values=self.values,
            calls=tuple(self.calls),
            kernels={call.kernel: None for call in self.calls},
            inputs=tuple(self.inputs),
            outputs=outputs,
        )

    def _buffer(self, kind: ValueKind, spec: TensorSpec) -> str:
        return self._add(Value(name=f"v{len(self.values)}", spec=spec, kind=kind))

    def _add(self, value: Value) -> str:
        self.values[value.name] = value
        return value.name
