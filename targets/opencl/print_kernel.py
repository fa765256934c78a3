"""TIR as a kernel in OpenCL C that a person could have written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import ir, sym, tirx

from ..cortex_m.line_breaks import WIDTH, broken, listed
from ..cortex_m.scope import Scope
from . import truth
from .barrier import is_barrier
from .buffers import Buffers
from .print_expression import ExpressionPrinter
from .private import elements_of, find_variables, private_bytes
from .reserved import RESERVED
from .statements import (
    flat,
    inline_steps,
    is_exact,
    late_declarations,
    parts_of_store,
    without_single_iterations,
)
from .types import STORED, CannotPrint, element_of, lanes_of
from .words import Kind


@dataclass(frozen=True)
class KernelText:
    """A kernel in OpenCL C and what it needs."""

    text: str
    helpers: frozenset[str]  # functions of the preamble
    extensions: frozenset[str]  # that the device must have
    private_bytes: int  # that one work-item declares


def print_kernel(
    name: str,
    body: Any,
    parameters: Sequence[tuple[Any, bool]],
    ids: Sequence[tuple[Any, int, int]],
    *,
    restrict: bool = True,
    is_rounded: bool = True,
    words: Kind = Kind.BYTES,
    half_arithmetic: bool = False,
    exact: bool = False,
) -> KernelText:
    """Statements as `__kernel void NAME(...)`, run once by every work-item.

    Args:
        name: Of the function.
        body: Statements over one-dimensional buffers.
        parameters: The buffers in the order of the pointers, and whether each is only read. Every
            pointer is followed by the elements into it at which the value begins.
        ids: Variables that are ids of the work-item: (variable, dimension, extent). Work-items
            from the extent on do nothing.
        restrict: Whether no two of the values share memory.
        is_rounded: Whether there may be more work-items than the extents say; none may miss a
            barrier.
        words: What words of small integers hold.
        half_arithmetic: Whether float16 is half in registers too, not float.
        exact: Whether quotients and roots of float32 round to nearest, and not as the device likes;
            so do those of every kernel that rounds a product before it is added to something.

    Raises:
        CannotPrint: It holds something that our OpenCL C has no form for.
    """
    body = inline_steps(without_single_iterations(body))
    is_rounded_before = is_exact(body)
    printer = _Printer(words, half_arithmetic, exact or is_rounded_before)
    printer.find_variables(body)
    signature = printer.declare_parameters(parameters, restrict)
    printer.declare_ids(ids, is_rounded)
    printer.statement(body)
    expressions = printer.expressions
    if is_rounded_before:
        printer.lines.insert(0, "    #pragma OPENCL FP_CONTRACT OFF")
    lines = [*listed(f"__kernel void {name}(", signature, ")"), "{", *printer.lines, "}"]
    return KernelText(
        "\n".join(lines) + "\n",
        frozenset(expressions.helpers),
        frozenset(expressions.extensions),
        private_bytes(body),
    )


@dataclass
class _Printer:
    """Writes statements; variables get names that are free in their scope."""

    words: Kind
    half_arithmetic: bool
    exact: bool
    lines: list[str] = field(default_factory=list)
    depth: int = 1

    def __post_init__(self) -> None:
        self.scope = Scope(RESERVED)
        self.ranges = sym.Analyzer()
        self.expressions = ExpressionPrinter(
            *(self._name_of, self._load, self.ranges, self.words),
            *(self.half_arithmetic, self.exact),
        )
        self.buffers = Buffers(self.expressions, self._name_of)

    def find_variables(self, body: Any) -> None:
        """See which private buffers are variables."""
        self.buffers.variables = find_variables(body)

    def declare_parameters(self, parameters: Any, restrict: bool) -> list[str]:
        """The parameters in OpenCL C; pointers are moved to where the values begin."""
        signature = []
        for buffer, is_read in parameters:
            const = "const " if is_read else ""
            pointer = "*restrict " if restrict else "*"
            name = self.scope.declare(buffer, buffer.name)
            start = self.scope.declare(None, f"{name}_at")
            ctype = f"__global {const}{STORED[element_of(buffer)]} "
            signature += [f"{ctype}{pointer}{name}", f"uint {start}"]
            self._line(f"{name} += {start};")
            self.buffers.constness[buffer] = const
        return signature

    def declare_ids(self, ids: Any, is_rounded: bool) -> None:
        """The ids of the work-item, and the end of those that are too many."""
        outside = []
        for var, dimension, extent in ids:
            name = self.scope.declare(var, str(var.name))
            kind = self.expressions.ctype(element_of(var))
            self._line(f"const {kind} {name} = ({kind})get_global_id({dimension});")
            self.ranges.bind(var, ir.Range(0, extent), allow_override=True)
            outside.append(f"{name} >= {extent}")
        if outside and is_rounded:
            self._line(f"if ({' || '.join(outside)})")
            self._line("    return;")

    def statement(self, node: Any) -> None:
        """Append a statement."""
        method = _STATEMENTS.get(type(node))
        if method is None:
            raise CannotPrint(type(node).__name__)
        method(self, node)

    def _sequence(self, node: Any) -> None:
        statements = late_declarations(flat(node))
        skip = False
        for now, following in zip(statements, [*statements[1:], None], strict=True):
            if skip:
                skip = False
            elif isinstance(now, tirx.AllocBuffer) and self._fills(following, now.buffer):
                self._allocate(now.buffer, following.value)
                skip = True
            else:
                self.statement(now)

    def _loop(self, node: Any) -> None:
        if node.kind not in (tirx.ForKind.SERIAL, tirx.ForKind.UNROLLED):
            raise CannotPrint(f"a loop of kind {node.kind}")
        first = self.expressions.text(node.min)
        block = self.scope.open()
        name = self.scope.declare(node.loop_var, str(node.loop_var.name))
        end = self.expressions.text(self.ranges.simplify(node.min + node.extent), 6)
        self.ranges.bind(
            node.loop_var, ir.Range.from_min_extent(node.min, node.extent), allow_override=True
        )
        kind = self.expressions.ctype(element_of(node.loop_var))
        if node.kind == tirx.ForKind.UNROLLED:
            self._line("#pragma unroll")
        self._line(f"for ({kind} {name} = {first}; {name} < {end}; {name}++) {{")
        self._inside(node.body)
        self._line("}")
        self.scope.close(block)

    def _condition(self, node: Any) -> None:
        self._line(f"if ({self.expressions.text(node.condition)}) {{")
        self._inside(node.then_case)
        if node.else_case is not None:
            self._line("} else {")
            self._inside(node.else_case)
        self._line("}")

    def _repeat(self, node: Any) -> None:
        self._line(f"while ({self.expressions.text(node.condition)}) {{")
        self._inside(node.body)
        self._line("}")

    def _store(self, node: Any) -> None:
        for value, index in parts_of_store(node):
            for start, arguments in self.buffers.store(node.buffer, index, value):
                if arguments:
                    self.lines += listed(f"{'    ' * self.depth}{start}(", arguments, ");")
                else:
                    self._line(f"{start};")

    def _evaluate(self, node: Any) -> None:
        if is_barrier(node):
            self._line("barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);")
        elif isinstance(node.value, ir.Call):
            raise CannotPrint(f"a call of {node.value.op.name} as a statement")

    def _bind(self, node: Any) -> None:
        expressions = self.expressions
        if lanes_of(node.value) > 1 and element_of(node.value) == "bool":
            value = truth.mask(expressions, node.value)
        else:
            value = expressions.text(node.value)
        kind = expressions.type_of(node.value)
        if lanes_of(node.value) == 1 and element_of(node.value).startswith("int"):
            self.ranges.bind(node.var, node.value, allow_override=True)
        is_common = str(node.var.name).startswith("cse_v")
        wanted = ("at" if kind == "int" else "common") if is_common else str(node.var.name)
        self._line(f"const {kind} {self.scope.declare(node.var, wanted)} = {value};")

    def _attribute(self, node: Any) -> None:
        self.statement(node.body)

    def _declaration(self, node: Any) -> None:
        """Another name of a buffer."""
        raise CannotPrint(f"a buffer in another's memory: {node.buffer.name}")

    def _allocation(self, node: Any) -> None:
        self._allocate(node.buffer, None)

    def _allocate(self, buffer: Any, value: Any) -> None:
        """Declare a private buffer, with its first value if there is one."""
        if buffer in self.buffers.variables:
            variables = self.buffers.variables[buffer]
            widths = variables.widths
            kinds = [self.buffers.variable_type(buffer, width) for width in widths]
            many = len(widths) > 1
            names = [
                self.scope.declare(None, f"{buffer.name}{place if many else ''}")
                for place in range(len(widths))
            ]
            self.buffers.names[buffer] = names
            if value is not None:
                self._line(f"{kinds[0]} {names[0]} = {self.buffers.stored(buffer, value)};")
                return
            for kind in dict.fromkeys(kinds):
                alike = [names[i] for i in sorted(variables.used) if kinds[i] == kind]
                if alike:
                    self.lines += listed(f"{'    ' * self.depth}{kind} ", alike, ";")
            return
        name = self.scope.declare(buffer, buffer.name)
        local = "__local " if buffer.scope() == "shared" else ""
        self._line(f"{local}{self.buffers.array_type(buffer)} {name}[{elements_of(buffer)}];")

    def _fills(self, statement: Any, buffer: Any) -> bool:
        """Whether a statement gives a buffer that is one variable its first value."""
        variables = self.buffers.variables.get(buffer)
        return (
            isinstance(statement, tirx.BufferStore)
            and statement.buffer.same_as(buffer)
            and variables is not None
            and variables.widths == [lanes_of(statement.indices[-1])]
        )

    def _inside(self, body: Any) -> None:
        block = self.scope.open()
        self.depth += 1
        self.statement(body)
        self.depth -= 1
        self.scope.close(block)

    def _line(self, text: str) -> None:
        """Append a line; a value that does not fit comes below its place."""
        line = "    " * self.depth + text
        place, sign, value = line.partition(" = ")
        if len(line) > WIDTH and sign and not text.startswith("for "):
            self.lines += broken(f"{place} =")
            line = "    " * (self.depth + 2) + value
        self.lines += broken(line)

    def _name_of(self, what: Any) -> str:
        if name := self.scope.find(what):
            return name
        raise CannotPrint(f"{what} is used outside of where it is declared")

    def _load(self, load: Any) -> tuple[str, int]:
        return self.buffers.load(load)


_STATEMENTS = {
    tirx.SeqStmt: _Printer._sequence,
    tirx.For: _Printer._loop,
    tirx.While: _Printer._repeat,
    tirx.IfThenElse: _Printer._condition,
    tirx.BufferStore: _Printer._store,
    tirx.Evaluate: _Printer._evaluate,
    tirx.Bind: _Printer._bind,
    tirx.DeclBuffer: _Printer._declaration,
    tirx.AllocBuffer: _Printer._allocation,
    tirx.AttrStmt: _Printer._attribute,
}
