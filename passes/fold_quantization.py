"""Turns quantize and dequantize nodes, and what is between them, into integer operators."""

from collections.abc import Callable
from typing import Any

from torch.fx import Node

from ..compiler.errors import CompileError
from ..compiler.ir.program import Program, origin_of
from ..compiler.ir.rewrite import replace_by
from ..compiler.pass_base import Pass
from .integer.attention import ATTENTIONS
from .integer.exact_functions import make_exact
from .integer.moves import cancel, move_integers, quantize_constant, quantize_early, share_quantized
from .integer.pointwise import POINTWISE, rescaled, table
from .integer.products import CONV_INT8, LAYERS, PRODUCTS, to_float
from .integer.reductions import REDUCTIONS
from .integer.transposed import TRANSPOSED
from .integer.transposed import to_float as transposed_to_float
from .integer.unsigned import make_signed
from .integer.values import DEQUANTIZE, QUANTIZE, Target, quantized, target_of

_RULES: dict[Any, Callable[[Program, Target], Node | str]] = {
    **PRODUCTS,
    **TRANSPOSED,
    **ATTENTIONS,
    **REDUCTIONS,
    **POINTWISE,
}
_TO_FLOAT: dict[Any, Callable[[Program, Node], Node | str]] = {
    **dict.fromkeys(LAYERS, to_float),
    **dict.fromkeys(TRANSPOSED, transposed_to_float),
}
_MOST_SWEEPS = 1000


class FoldQuantization(Pass):
    """Compute with integers what stands between dequantize and quantize nodes.

    It takes `quantized_decomposed` nodes with constant parameters, whoever wrote them:

    1. Integers of 8 bits without a sign become signed.
    2. Moves of elements, maxima and relu move to where values are integers; pairs that undo each
       other go away.
    3. dequantize, one operator of docs/quantization.md, numbers and clamps, quantize -> the
       operator on integers. A function of one element becomes a table.
    4. Norms, activations, softmax and means that stay real between integer operators -> those of
       `penjing::exact_*`, which give the same bytes on every target.

    Needs: canonical operators, batch norms not yet folded.
    Keeps: every integer within one of that which float32 gives for the same integer operands (the
        bound of each operator is in docs/quantization.md), and nearly all equal; values that are
        not quantized.
    Reports: convolutions that the target computes faster with real numbers; `widen-slow-layers`
        lets it.
    Skips: operators without an integer form, float values that something else also reads,
        parameters that are computed (dynamic quantization): these stay as they are, in float32.
    """

    name = "fold-quantization"
    contract = "tolerance"

    def run(self, program: Program) -> int:
        if not program.graph.find_nodes(op="call_function", target=DEQUANTIZE):
            return 0
        count = make_signed(program) + _move_borders(program)
        left: dict[Node, str] = {}
        while changed := _fold(program, left):
            count += changed + _move_borders(program)
        count += _leave_integers(program)
        calls = {node for node in program.graph.nodes if node.op == "call_function"}
        for node, reason in left.items():
            if node in calls:
                self.report.skip(node, reason)
        self._name_slow_layers(program)
        return count + make_exact(program)

    def _name_slow_layers(self, program: Program) -> None:
        """Say which layers the target would compute faster with real numbers."""
        if self.context.target is None or not program.graph.find_nodes(
            op="call_function", target=CONV_INT8
        ):
            return
        from ..compiler.lowering.slow_integers import slow_integers  # TVM takes a second to import

        self.report.details["faster as real numbers"] = [
            slow.described() for slow in slow_integers(program, self.context.target)
        ]


def _fold(program: Program, left: dict[Node, str]) -> int:
    """Fold every quantize node once; `left` becomes what stays real, and why."""
    count = 0
    left.clear()
    for node in program.graph.find_nodes(op="call_function", target=QUANTIZE):
        target = target_of(node)
        value = target if isinstance(target, str) else _integer(program, target)
        if isinstance(value, str):
            left[node if isinstance(target, str) else target.root] = value
            continue
        assert isinstance(target, Target)
        value.meta["origin"] = origin_of(target.root)
        replace_by(node, value)
        count += 1
    program.drop_dead()
    return count


def _leave_integers(program: Program) -> int:
    """Let layers of integers whose results stay real sum integers; the number of them."""
    count = 0
    for node in list(program.graph.nodes):
        rule = _TO_FLOAT.get(node.target)
        value = None if rule is None else rule(program, node)
        if isinstance(value, Node):
            replace_by(node, value)
            count += 1
    program.drop_dead()
    return count


def _integer(program: Program, target: Target) -> Node | str:
    """The integer operator for a target, or why there is none."""
    x = quantized(target.root)
    rule = _RULES.get(target.root.target)
    try:
        if x is not None:
            return rescaled(target, x)
        value = (
            f"{target.root.target} has no integer form" if rule is None else rule(program, target)
        )
        if isinstance(value, Node):
            return value
        entries = table(program, target)
        return entries if isinstance(entries, Node) else value
    except CompileError as error:
        at = error.at or str(origin_of(target.root))
        raise CompileError(error.what, at=at, got=error.got, fix=error.fix) from error


def _move_borders(program: Program) -> int:
    """Move dequantize nodes down and quantize nodes up until they meet; the number of moves."""
    count = 0
    for _ in range(_MOST_SWEEPS):
        changed = sum(move_integers(node) for node in list(program.graph.nodes))
        known: dict[Any, Node] = {}
        for node in program.graph.find_nodes(op="call_function", target=QUANTIZE):
            changed += (
                cancel(node)
                or quantize_constant(program, node)
                or quantize_early(node)
                or share_quantized(node, known)
            )
        program.drop_dead()
        if not changed:
            return count
        count += changed
    raise AssertionError(f"borders still move after {_MOST_SWEEPS} sweeps")
