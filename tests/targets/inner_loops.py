"""Assembly of matrix products for any target, and the instructions of its inner loops."""

import re
from dataclasses import dataclass

import numpy as np
from tvm import te

from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering.builder import KernelBuilder
from penjing.compiler.lowering.rules.linear import linear
from penjing.targets.cpu.codegen import assembly, lower_kernel
from penjing.targets.cpu.schedule import schedule_kernel
from penjing.targets.registry import get

_LABEL = re.compile(r"^(\.LBB\w+):")
_BRANCH = re.compile(r"^\s+(?:b\.\w+|b\w\w|cbn?z|tbn?z|j\w+)\s+.*?(\.LBB\w+)\s*$")
_MULTIPLY_ADD = re.compile(r"^\s+(fmla|vfmadd|vmla|vmul)\S*\s")
_SPILL = re.compile(r"^\s+(v\w+\S*\s.*|(ld|st)[rp]\s+[qd]\d.*)(\[sp|%rsp)")


@dataclass(frozen=True)
class Loop:
    """A loop without loops inside."""

    instructions: tuple[str, ...]

    @property
    def multiply_adds(self) -> int:
        """Vector multiply-adds; multiplications where a target has none."""
        return sum(bool(_MULTIPLY_ADD.match(line)) for line in self.instructions)

    @property
    def spills(self) -> list[str]:
        """What moves vectors from or to the stack."""
        return [line.strip() for line in self.instructions if _SPILL.match(line)]


def linear_loops(target_name: str, rows: int, depth: int, columns: int) -> list[Loop]:
    """The inner loops with multiply-adds of a linear layer [rows, depth] -> [rows, columns]."""
    return [
        loop
        for loop in inner_loops(linear_code(target_name, rows, depth, columns))
        if loop.multiply_adds > 3
    ]


def linear_code(target_name: str, rows: int, depth: int, columns: int) -> str:
    """The assembly of a linear layer with a bias."""
    target = get(target_name)
    x = te.placeholder((rows, depth), "float32", name="x")
    weight = te.placeholder((columns, depth), "float32", name="weight")
    bias = te.placeholder((columns,), "float32", name="bias")
    kernel = KernelBuilder(target, {weight: np.zeros((columns, depth), "float32")})
    out = linear(x, weight, bias, out=TensorSpec((rows, columns), "float32"), kernel=kernel)
    reads = [x, kernel.packed[0].tensor, bias]
    func = te.create_prim_func([*reads, out])
    scheduled = schedule_kernel(func, target, inputs=len(reads), parallel=False)
    return assembly([lower_kernel(scheduled, "kernel", target)], target)


def inner_loops(code: str) -> list[Loop]:
    """The blocks of the assembly that branch back to their own beginning."""
    loops, label, body = [], "", list[str]()
    for line in code.splitlines():
        if match := _LABEL.match(line):
            label, body = match[1], []
        elif re.match(r"^\t[a-z]", line):
            body.append(line)
            branch = _BRANCH.match(line)
            if branch and branch[1] == label:
                loops.append(Loop(tuple(body)))
    return loops
