"""TIR functions over raw pointers as C99 that a person could have written."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import ir, tirx

from .layer import MicroKernel
from .line_breaks import broken, listed
from .print_expression import C_TYPES, CannotPrint, ExpressionPrinter, dtype_of
from .scope import Scope


@dataclass(frozen=True)
class CFunction:
    """A function as C, with the helper functions that it calls."""

    text: str
    helpers: tuple[MicroKernel, ...]


def print_function(
    func: Any,
    symbol: str,
    *,
    read: int,
    names: Sequence[str] = (),
    comment: str = "",
    restrict: bool = True,
    micro_kernels: Collection[str] = (),
    divides: bool = True,
) -> CFunction:
    """A PrimFunc over raw pointers as `static void SYMBOL(...)`.

    Args:
        func: Its parameters are pointers; it allocates single elements only.
        symbol: Its name in C.
        read: The number of its first parameters that it only reads.
        names: Of the parameters, if not those of the variables.
        comment: One line above it.
        restrict: Whether no two of its pointers are into the same memory.
        micro_kernels: Names of the functions that it may call.
        divides: Whether the core has an instruction for divisions.

    Raises:
        CannotPrint: It holds something that our C has no form for.
    """
    printer = _Printer(micro_kernels, divides)
    parameters = []
    for index, param in enumerate(func.params):
        const = "const " if index < read else ""
        kind = " *restrict " if restrict else " *"
        wanted = names[index] if names else str(param.name)
        ctype = C_TYPES.get(str(param.ty.element_type.dtype), "void")
        parameters.append(f"{const}{ctype}{kind}{printer.scope.declare(param, wanted)}")
    printer.find_constness(func.params[:read])
    printer.statement(func.body)
    lines = [f"/* {comment} */"] if comment else []
    lines += listed(f"static void {symbol}(", parameters, ")")
    lines += ["{", *printer.lines, "}"]
    return CFunction("\n".join(lines) + "\n", tuple(printer.expressions.helpers.values()))


@dataclass
class _Printer:
    """Writes statements; variables get names that are free in their scope."""

    micro_kernels: Collection[str]
    divides: bool
    lines: list[str] = field(default_factory=list)
    depth: int = 1

    def __post_init__(self) -> None:
        self.expressions = ExpressionPrinter(
            self._name_of, self._place, self.micro_kernels, self.divides
        )
        self.scope = Scope()
        self._single: list[Any] = []  # buffers of one element, which are variables
        self._constant: list[Any] = []

    def find_constness(self, params: Any) -> None:
        """Remember which pointers are only read through."""
        self._constant = list(params)

    def statement(self, node: Any) -> None:
        """Append a statement."""
        method = _STATEMENTS.get(type(node))
        if method is None:
            raise CannotPrint(type(node).__name__)
        method(self, node)

    def _sequence(self, node: Any) -> None:
        statements = _flat(node)
        index = 0
        while index < len(statements):
            now, following = statements[index], statements[index + 1 : index + 2]
            if isinstance(now, tirx.AllocBuffer) and following and _fills(following[0], now.buffer):
                value = self.expressions.text(following[0].value)
                self._scalar(now.buffer, f" = {value}")
                index += 1
            else:
                self.statement(now)
            index += 1

    def _loop(self, node: Any) -> None:
        if node.kind not in (tirx.ForKind.SERIAL, tirx.ForKind.UNROLLED):
            raise CannotPrint(f"a loop of kind {node.kind}")
        first = self.expressions.text(node.min)
        end = self.expressions.text(_simple_sum(node.min, node.extent), 6)
        block = self.scope.open()
        name = self.scope.declare(node.loop_var, str(node.loop_var.name))
        kind = C_TYPES[dtype_of(node.loop_var)]
        self._line(f"for ({kind} {name} = {first}; {name} < {end}; {name}++) {{")
        self._inside(node.body)
        self._line("}")
        self.scope.close(block)

    def _condition(self, node: Any) -> None:
        self._line(f"if ({self.expressions.text(node.condition)}) {{")
        self._inside(node.then_case)
        otherwise = node.else_case
        if otherwise is not None:
            self._line("} else {")
            self._inside(otherwise)
        self._line("}")

    def _repeat(self, node: Any) -> None:
        self._line(f"while ({self.expressions.text(node.condition)}) {{")
        self._inside(node.body)
        self._line("}")

    def _store(self, node: Any) -> None:
        place = self._element(node.buffer, node.indices)
        text = self.expressions.text(node.value)
        self._line(f"{place} {self._in_place(place, node.value, text)};")

    def _in_place(self, place: str, node: Any, text: str) -> str:
        """`+= b` for a sum that starts with the place itself."""
        prefix = f"{place} + "
        if isinstance(node, tirx.Add) and text.startswith(prefix):
            return f"+= {self.expressions.text(node.b)}"
        return f"= {text}"

    def _evaluate(self, node: Any) -> None:
        if isinstance(node.value, ir.Call):
            call = node.value
            name = call.args[0].value if str(call.op.name) == "tirx.call_extern" else ""
            if name in self.micro_kernels:
                arguments = [self.expressions.text(each) for each in call.args[1:]]
                start = f"{'    ' * self.depth}{name}("
                self.lines += listed(start, arguments, ");")
                return
            self._line(f"{self.expressions.text(call)};")

    def _bind(self, node: Any) -> None:
        value = self.expressions.text(node.value)
        dtype = dtype_of(node.value)
        if dtype == "handle":
            raise CannotPrint(f"a variable that is a pointer: {node.var}")
        self._line(
            f"const {C_TYPES[dtype]} {self.scope.declare(node.var, str(node.var.name))} = {value};"
        )

    def _declaration(self, node: Any) -> None:
        buffer, pointer = node.buffer, self.expressions.text(node.data)
        offset = int(buffer.elem_offset) if buffer.elem_offset is not None else 0
        element = str(buffer.ty.dtype)
        if offset == 0 and _element_type(node.data) == element:
            self.scope.share(buffer, pointer)
            return
        const = "const " if self._is_constant(node.data) else ""
        ctype = f"{const}{C_TYPES[element]} *"
        void = "" if element in ("int8", "uint8") else f"({const}void *)"
        wanted = buffer.name if buffer.name != pointer else f"{pointer}_{element}"
        name = self.scope.declare(buffer, wanted)
        shift = f" + {offset}" if offset else ""
        self._line(f"{ctype}{name} = ({ctype}){void}{pointer}{shift};")

    def _allocation(self, node: Any) -> None:
        zero = "0.0f" if str(node.buffer.ty.dtype) == "float32" else "0"
        self._scalar(node.buffer, f" = {zero}")  # compilers do not see that all paths set it

    def _attribute(self, node: Any) -> None:
        self.statement(node.body)

    def _scalar(self, buffer: Any, value: str) -> None:
        if any(int(size) != 1 for size in buffer.ty.shape):
            raise CannotPrint(f"an array on the stack, {buffer.name}{list(buffer.ty.shape)}")
        name = self.scope.declare(buffer, buffer.name)
        self._single.append(buffer)
        self._line(f"{C_TYPES[str(buffer.ty.dtype)]} {name}{value};")

    def _inside(self, body: Any) -> None:
        block = self.scope.open()
        self.depth += 1
        self.statement(body)
        self.depth -= 1
        self.scope.close(block)

    def _line(self, text: str) -> None:
        self.lines += broken("    " * self.depth + text)

    def _name_of(self, what: Any) -> str:
        if name := self.scope.find(what):
            return name
        raise CannotPrint(f"{what} is used outside of where it is declared")

    def _place(self, load: Any) -> str:
        return self._element(load.source, load.indices)

    def _element(self, buffer: Any, indices: Any) -> str:
        name = self._name_of(buffer)
        if any(other.same_as(buffer) for other in self._single):
            return name
        if len(indices) != 1:
            raise CannotPrint(f"{buffer.name} with {len(indices)} indices")
        return f"{name}[{self.expressions.text(indices[0])}]"

    def _is_constant(self, pointer: Any) -> bool:
        """Whether a pointer is one that is only read through."""
        return any(other.same_as(pointer) for other in self._constant)


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


def _element_type(pointer: Any) -> str:
    kind = getattr(pointer.ty, "element_type", None)
    return str(kind.dtype) if kind is not None else ""


def _flat(node: Any) -> list[Any]:
    """The statements of a sequence, nested ones among them."""
    if not isinstance(node, tirx.SeqStmt):
        return [node]
    return [inner for statement in node.seq for inner in _flat(statement)]


def _fills(statement: Any, buffer: Any) -> bool:
    """Whether a statement gives a buffer of one element its first value."""
    return isinstance(statement, tirx.BufferStore) and statement.buffer.same_as(buffer)


def _simple_sum(first: Any, count: Any) -> Any:
    if isinstance(first, tirx.IntImm) and isinstance(count, tirx.IntImm):
        return tirx.const(int(first.value) + int(count.value), str(first.ty.dtype))
    if isinstance(first, tirx.IntImm) and int(first.value) == 0:
        return count
    return first + count
