"""What each kernel call of a model costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..targets.mobile_gpus import MobileGpu
from ..targets.opencl.kernel import Launch
from ..targets.target import Target
from .manifest import CallEntry, Manifest, call_to_json
from .report import count_text, table
from .roofline import LABEL, Estimate, estimate_launch


@dataclass(frozen=True)
class ProfileRow:
    """One kernel call and its cost in the profile's unit."""

    call: CallEntry
    cost: int


@dataclass(frozen=True)
class LaunchRow:
    """One launch on a device, and what it would take at best on the GPU it was compiled for."""

    launch: Launch
    nanoseconds: int
    estimate: Estimate | None = None  # None: nothing is known about that GPU

    def to_json(self) -> dict[str, Any]:
        """The row as plain data."""
        estimate = None if self.estimate is None else {**vars(self.estimate), "label": LABEL}
        return {**vars(self.launch), "nanoseconds": self.nanoseconds, "estimate": estimate}


@dataclass(frozen=True)
class Profile:
    """Cost of every kernel call, in the order they run.

    `unit` is "instructions" (counted under an emulator, always the same) or "nanoseconds" (on this
    CPU, the fastest of several runs; on an OpenCL device, whose `launches` are listed too, one).
    """

    unit: Literal["instructions", "nanoseconds"]
    rows: tuple[ProfileRow, ...]
    launches: tuple[LaunchRow, ...] = ()

    @classmethod
    def of_launches(cls, manifest: Manifest, nanoseconds: Sequence[int]) -> "Profile":
        """The profile of an inference on a device, from the time of every launch in order."""
        times = iter(nanoseconds)
        calls = [(call, [(x, next(times)) for x in call.launches]) for call in manifest.calls]
        rows = (ProfileRow(call, sum(time for _, time in timed)) for call, timed in calls)
        launches = (
            LaunchRow(launch, time, _estimate(launch, manifest.target))
            for _, timed in calls
            for launch, time in timed
        )
        return cls("nanoseconds", tuple(rows), tuple(launches))

    @property
    def total(self) -> int:
        """Cost of all calls."""
        return sum(row.cost for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The profile as plain data."""
        rows = [{**call_to_json(row.call), "cost": row.cost} for row in self.rows]
        content = {"unit": self.unit, "total": self.total, "calls": rows}
        if self.launches:
            content["launches"] = [row.to_json() for row in self.launches]
        return content

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
        return "\n".join([*table(rows, "lrrrrl"), total, *self._launch_table()])

    def _launch_table(self) -> list[str]:
        """One row for each launch: what it does and moves, and its estimate if there is one."""
        if not self.launches:
            return []
        known = any(row.estimate is not None for row in self.launches)
        more = ("at best, us", "bound by") if known else ()
        rows = [
            ("launch", "nanoseconds", "items", "private", "bytes", "operations", "per byte", *more)
        ]
        for row in self.launches:
            launch, estimate = row.launch, row.estimate
            cells = (
                launch.function,
                str(row.nanoseconds),
                "x".join(map(str, launch.items)),
                str(launch.private_bytes),
                count_text(launch.bytes),
                count_text(launch.operations),
                f"{launch.operations / max(1, launch.bytes):.1f}",
            )
            least = (f"{estimate.microseconds:.1f}", estimate.bound) if estimate else ()
            rows.append((*cells, *least))
        note = [f"at best: {LABEL}"] if known else []
        return ["", *table(rows, "lrlrrrrrl"[: len(rows[0])]), *note]


def _estimate(launch: Launch, target: Target) -> Estimate | None:
    if isinstance(target, MobileGpu) and target.gflops and target.bandwidth:
        return estimate_launch(launch, target)
    return None
