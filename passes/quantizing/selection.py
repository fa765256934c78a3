"""Which nodes an option names, by module or by operator."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch.fx import Node

from ...compiler.errors import CompileError
from ...compiler.ir.program import Program, origin_of


def named(program: Program, option: str, patterns: Sequence[str]) -> set[Node]:
    """The calls whose module, or one around it, or whose operator is named by a pattern.

    Raises:
        CompileError: A pattern names nothing.
    """
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    found: set[Node] = set()
    for pattern in patterns:
        matches = {node for node in calls if _is_named(node, pattern)}
        if not matches:
            raise CompileError(
                f"{option} names no module and no operator of the program",
                got=f"{option}={pattern!r}",
                fix="use names such as 'layer1.0', 'aten.softmax', or patterns with *",
            )
        found |= matches
    return found


def _is_named(node: Node, pattern: str) -> bool:
    path, operator = origin_of(node).module_path, str(node.target)
    names = path, operator, operator.rpartition(".")[0]
    return fnmatchcase(path, f"{pattern}.*") or any(fnmatchcase(name, pattern) for name in names)
