"""Gives every computation one spelling, so that later passes and kernels see fewer cases."""

from collections.abc import Callable

from torch.fx import Node

from ..compiler.frontend.forms.normalize_node import normalize_node
from ..compiler.ir.program import Program
from ..compiler.ir.rewrite import replace_by
from ..compiler.pass_base import Pass
from .canonical_layers import LAYER_RULES
from .canonical_math import MATH_RULES, narrow_operands
from .canonical_moves import MOVE_RULES

_Rule = Callable[[Program, Node], Node | None]
_MOST_SWEEPS = 100


class Canonicalize(Pass):
    """Rewrite until every node has its one canonical spelling.

    1. Operators and arguments as `trace` writes them, wherever a pass inserted others: one
       reshape, permute, slice, cast, matmul, convolution; no negative dims, no default arguments.
    2. Moves: adjacent ones composed; those that move nothing become reshapes (canonical_moves.py).
    3. Arithmetic: numbers instead of uniform constants, constants as second operand, one clamp,
       no small powers, explicit reduction axes, no expansions in front of what broadcasts
       (canonical_math.py).
    4. Layers: padding inside the convolution, attention without masks and repetitions that it can
       do without (canonical_layers.py).

    Needs: nothing.
    Keeps: values exact.
    Skips: nothing.
    """

    name = "canonicalize"
    contract = "exact"

    def run(self, program: Program) -> int:
        count = _normalize(program)
        for _ in range(_MOST_SWEEPS):
            changed = sum(_simplify(program, node) for node in list(program.graph.nodes))
            if not changed:
                return count
            count += changed
            program.drop_dead()
        raise AssertionError(f"no fixed point after {_MOST_SWEEPS} sweeps")


def _normalize(program: Program) -> int:
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    return sum(normalize_node(node) for node in calls)


def _simplify(program: Program, node: Node) -> int:
    """Rewrite a node, and what it becomes, until no rule applies; the number of rewrites."""
    count = 0
    while (value := _better(program, node)) is not None:
        replace_by(node, value)
        node, count = value, count + 1
    return count


def _better(program: Program, node: Node) -> Node | None:
    rules: tuple[_Rule | None, ...] = (
        MOVE_RULES.get(node.target),
        MATH_RULES.get(node.target),
        LAYER_RULES.get(node.target),
        narrow_operands,
    )
    values = (rule(program, node) for rule in rules if rule is not None)
    return next((value for value in values if value is not None), None)
