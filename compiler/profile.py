"""What each kernel call of a model costs."""

from dataclasses import dataclass
from typing import Any, Literal

from .manifest import CallEntry
from .report import count_text, table


@dataclass(frozen=True)
class ProfileRow:
    """One kernel call and its cost in the profile's unit."""

    call: CallEntry
    cost: int


@dataclass(frozen=True)
class Profile:
    """Cost of every kernel call, in the order they run.

    `unit` is "instructions" (counted under an emulator, always the same) or "nanoseconds" (on this
    CPU, the fastest of several runs).
    """

    unit: Literal["instructions", "nanoseconds"]
    rows: tuple[ProfileRow, ...]

    @property
    def total(self) -> int:
        """Cost of all calls."""
        return sum(row.cost for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The profile as plain data."""
        rows = [{**vars(row.call), "cost": row.cost} for row in self.rows]
        return {"unit": self.unit, "total": self.total, "calls": rows}

    def __str__(self) -> str:
        per_mac = f"{self.unit}/mac"
        header = ("kernel", str(self.unit), "share", "macs", per_mac, "operators and modules")
        rows = [header]
        for row in self.rows:
            call = row.call
            share = f"{100 * row.cost / max(1, self.total):.1f}%"
            ratio = f"{row.cost / call.macs:.3f}" if call.macs else ""
            rows.append(
                (call.kernel, str(row.cost), share, count_text(call.macs), ratio, str(call))
            )
        total = f"{count_text(self.total)} {self.unit} in {len(self.rows)} calls"
        return "\n".join([*table(rows, "lrrrrl"), total])
