"""What one run of one pass did."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from torch.fx import Node

Contract = Literal["exact", "tolerance", "lossy"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Work and weights of one module of the user's model."""

    macs: int = 0
    parameters: int = 0


@dataclass(frozen=True, kw_only=True)
class State:
    """A program in numbers.

    Args:
        parameters: Elements of all weights.
        weight_bytes: Bytes of all weights.
        macs: Multiply-accumulates of one inference.
        layers: By module path.
        error: L2 norm of the difference to the original's outputs on calibration data, relative to
            that of the outputs; None where unknown.
        quality: What the user's `evaluate` gives; None without one.
    """

    parameters: int
    weight_bytes: int
    macs: int
    layers: dict[str, Layer]
    error: float | None = None
    quality: float | None = None


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A match that a pass refused."""

    op: str
    at: str  # module path in the user's model
    reason: str


@dataclass(kw_only=True)
class PassReport:
    """Counts, time, notes; the pass writes `skips` and `details`, the manager everything else.

    `before` and `after` are there for lossy passes that changed something.
    """

    name: str
    options: dict[str, Any]
    contract: Contract
    rewrites: int = 0
    seconds: float = 0.0
    nodes_before: int = 0
    nodes_after: int = 0
    skips: list[Skip] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    before: State | None = None
    after: State | None = None

    def skip(self, node: Node, reason: str) -> None:
        """Record that the match at `node` was refused, and why."""
        origin = node.meta.get("origin")
        at = "" if origin is None else origin.module_path
        self.skips.append(Skip(op=str(node.target), at=at, reason=reason))

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)
