"""What a compilation did and what it made, as numbers and as a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..targets.mobile_gpus import MobileGpu
from .errors import CompileError
from .manifest import CallEntry, Manifest
from .roofline import LABEL, estimate_launches


@dataclass(frozen=True, kw_only=True)
class Report:
    """Totals, passes and kernel calls of an artifact.

    `pass_seconds` and `stage_seconds` are known only in the process that compiled it.
    """

    name: str
    target: str
    library_bytes: int
    code_bytes: int
    weights_bytes: int
    arena_bytes: int
    arena_lower_bound_bytes: int
    macs: int
    passes: tuple[dict[str, Any], ...]  # name, options, contract, rewrites, skips, ...
    kernels: tuple[CallEntry, ...]  # one row per call, in the order they run
    stack_bytes: int = 0  # on a microcontroller; 0 = not known
    instructions: int = 0  # of one inference on a microcontroller; 0 = not known
    least_ms: float = 0.0  # of one inference on a GPU by its peak numbers; 0 = not known
    pass_seconds: tuple[float, ...] = ()
    stage_seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        pass_seconds: Sequence[float] = (),
        stage_seconds: Mapping[str, float] | None = None,
    ) -> "Report":
        """The report of the artifact that a manifest describes."""
        return cls(
            name=manifest.name,
            target=manifest.target.name,
            passes=manifest.passes,
            kernels=manifest.calls,
            least_ms=_least_ms(manifest),
            pass_seconds=tuple(pass_seconds),
            stage_seconds=dict(stage_seconds or {}),
            **asdict(manifest.sizes),
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        parts = (self._pass_table(), self._effect_table(), self._kernel_table())
        tables = ["\n".join(rows) for rows in parts if rows]
        return "\n\n".join([self.summary(), *tables])

    def summary(self) -> str:
        """The totals alone: sizes, work and the time of each stage."""
        kernels = len({row.kernel for row in self.kernels})
        launches = sum(len(row.launches) for row in self.kernels)
        content = f"code {_bytes(self.code_bytes)}, weights {_bytes(self.weights_bytes)}"
        whole = f"library  {_bytes(self.library_bytes)}: " if self.library_bytes else "flash    "
        rows = [
            f"{self.name} for {self.target}",
            f"  {whole}{content}",
            f"  arena    {_bytes(self.arena_bytes)}, lower bound of any plan"
            f" {_bytes(self.arena_lower_bound_bytes)}",
            f"  work     {count_text(self.macs)} multiply-adds in {len(self.kernels)} calls"
            f" of {kernels} kernels{f', {launches} launches' if launches else ''}",
        ]
        if self.instructions:
            count = count_text(self.instructions)
            rows.append(f"  board    {count} instructions, stack {_bytes(self.stack_bytes)}")
        if self.least_ms:
            rows.append(f"  at best  {self.least_ms:.2f} ms ({LABEL})")
        if self.stage_seconds:
            times = (f"{name} {seconds:.1f}" for name, seconds in self.stage_seconds.items())
            rows.append(f"  seconds  {', '.join(times)}")
        return "\n".join(rows)

    def _pass_table(self) -> list[str]:
        rows = [("pass", "rewrites", "refused", "ms")]
        for index, row in enumerate(self.passes):
            known = index < len(self.pass_seconds)
            time = f"{1000 * self.pass_seconds[index]:.0f}" if known else ""
            rows.append((row["name"], str(row["rewrites"]), str(len(row.get("skips", ()))), time))
        return table(rows, "lrrr") if self.passes else []

    def plot_layers(self, path: str | Path) -> None:
        """Draw the work and weights of every layer before and after the lossy passes.

        Args:
            path: A file; its suffix (.svg, .png, .pdf) chooses the format.

        Raises:
            CompileError: No pass was lossy, or matplotlib is not installed.
        """
        from .plot import plot_layers

        changed = [row for row in self.passes if row.get("after")]
        if not changed:
            raise CompileError("no pass changed the model's layers", fix="plot a pruned model")
        plot_layers(changed[0]["before"]["layers"], changed[-1]["after"]["layers"], Path(path))

    def _effect_table(self) -> list[str]:
        """What every lossy pass did to size, work, outputs and quality."""
        rows = [("lossy pass", "parameters", "weights", "macs", "error", "quality")]
        for row in self.passes:
            if not row.get("after"):
                continue
            before, after = row["before"], row["after"]
            cells = [
                _change(before[key], after[key], text)
                for key, text in (
                    ("parameters", count_text),
                    ("weight_bytes", _bytes),
                    ("macs", count_text),
                )
            ]
            error = "" if after["error"] is None else f"{after['error']:.3g}"
            rows.append((row["name"], *cells, error, _change(before["quality"], after["quality"])))
        return table(rows, "lrrrrr") if len(rows) > 1 else []

    def _kernel_table(self) -> list[str]:
        """One row per kernel: its calls together, described by the first."""
        calls: dict[str, list[CallEntry]] = {}
        for row in self.kernels:
            calls.setdefault(row.kernel, []).append(row)
        rows = [("kernel", "calls", "macs", "bytes", "operators and modules of the first call")]
        for kernel, group in calls.items():
            macs, size = sum(call.macs for call in group), sum(call.bytes for call in group)
            work = (count_text(macs), _bytes(size))
            rows.append((kernel, str(len(group)), *work, str(group[0])))
        return table(rows, "lrrrl") if self.kernels else []


def _least_ms(manifest: Manifest) -> float:
    """What the launches of one inference take at best on the GPU that they are made for."""
    gpu = manifest.target
    if not isinstance(gpu, MobileGpu) or not gpu.gflops or not gpu.bandwidth:
        return 0.0
    return estimate_launches((x for call in manifest.calls for x in call.launches), gpu)


def _change(before: Any, after: Any, text: Callable[[Any], str] = "{:.4g}".format) -> str:
    """`before -> after`; one of them where nothing changed, nothing where it is unknown."""
    if after is None:
        return ""
    return text(after) if before == after else f"{text(before)} -> {text(after)}"


def table(rows: Sequence[Sequence[str]], alignment: str) -> list[str]:
    """Lines with aligned columns: "l" to the left, "r" to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(alignment))]
    sides = {"l": str.ljust, "r": str.rjust}
    return [
        "  ".join(
            sides[side](cell, width)
            for cell, width, side in zip(row, widths, alignment, strict=True)
        ).rstrip()
        for row in rows
    ]


def _bytes(count: int) -> str:
    """Bytes to read: 812 B, 4.0 KB, 90.9 MB (1 KB = 1024 B)."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KB" if count < 1024**2 else f"{count / 1024**2:.1f} MB"


def count_text(count: int) -> str:
    """A count to read: 812, 4.1 k, 300.8 M, 1.2 G."""
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return str(count)
