"""How many elements of quantized values lie at the ends of their ranges."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from ..batched_run import run_batched
from ..batches import as_batches
from ..ir.program import Program, node_spec, origin_of
from ..ir.rewrite import arguments_of
from ..report import table

_LIMITS = (("quant_min", "quant_max"), ("low", "high"))


@dataclass(frozen=True)
class Ends:
    """One quantized value.

    Args:
        name: Its module and node.
        low: The least integer that it may hold; a ReLU that is part of it raises that.
        high: The greatest.
        elements: How many there were.
        at_low: How many of them were `low`.
        at_high: How many were `high`.
    """

    name: str
    low: int
    high: int
    elements: int
    at_low: int
    at_high: int


@dataclass(frozen=True)
class Saturation:
    """Quantized values in graph order; prints as a table."""

    rows: tuple[Ends, ...]

    def __str__(self) -> str:
        cells: list[Sequence[str]] = [
            ("value", "range", "elements", "% at low end", "% at high end")
        ]
        for row in self.rows:
            shares = [f"{100 * count / row.elements:.3f}" for count in (row.at_low, row.at_high)]
            cells.append((row.name, f"{row.low} to {row.high}", str(row.elements), *shares))
        return "\n".join(table(cells, "lrrrr"))

    def to_json(self) -> list[dict[str, Any]]:
        """The rows as plain data."""
        return [asdict(row) for row in self.rows]


def saturation(program: Program, data: Iterable[Any]) -> Saturation:
    """Count elements at the ends of the range of every value of int8 that a program computes.

    It takes programs with quantize nodes and those of integer operators. A range that is too
    narrow has many elements at its ends, one that is too wide none.

    Args:
        program: As `quantize` or `fold-quantization` left it.
        data: Batches of inputs, as for calibration.

    Raises:
        CompileError: The data does not fit the program.
    """
    limits = {node: found for node in program.graph.nodes if (found := _limits(node))}
    counts = {node: [0, 0, 0] for node in limits}
    with torch.no_grad():
        for batch in as_batches(program, data):
            values = run_batched(program, batch.inputs, keep=limits, outputs=False).kept
            for node, value in values.items():
                for index, count in enumerate(_count(value, *limits[node])):
                    counts[node][index] += count
    rows = [Ends(_name(node), *limits[node], *counts[node]) for node in limits]
    return Saturation(tuple(rows))


def _limits(node: Node) -> tuple[int, int] | None:
    """The least and greatest integer of a quantized value; None for other nodes."""
    if node.op != "call_function" or not isinstance(node.meta["val"], Tensor):
        return None
    if node_spec(node).dtype not in ("int8", "uint8"):
        return None
    arguments = arguments_of(node)
    for low, high in _LIMITS:
        if low in arguments:
            return arguments[low], arguments[high]
    return None


def _count(value: Tensor, low: int, high: int) -> tuple[int, int, int]:
    return value.numel(), int((value == low).sum()), int((value == high).sum())


def _name(node: Node) -> str:
    return f"{origin_of(node).module_path} {node.name}".strip()
