"""Gives each layer the format that a budget of accuracy or size allows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch.fx import Node

from ..compiler.errors import CompileError
from ..compiler.ir.program import Program, origin_of
from ..compiler.ir.rewrite import arguments_of, weight_of
from ..compiler.macs import macs
from ..compiler.pass_base import Pass
from ..compiler.pass_context import PassContext
from .integer.products import LAYERS
from .integer.transposed import TRANSPOSED
from .mixing.formats import FLOAT, FORMATS, passes_for, work_factor
from .mixing.measure import Judge, Loss
from .mixing.search import Move, Option, cost_after, formats_after, most_that, order_moves
from .quantizing.annotate import Scope

_LAYERS = {*LAYERS, *TRANSPOSED, torch.ops.aten.embedding.default}
Measure = Literal["sqnr", "kl"]
Saving = Literal["bytes", "work"]


@dataclass(frozen=True)
class MixPrecision(Pass):
    """Choose a format for each layer, within a budget of accuracy or of size.

    1. Each layer alone gets each format, and the loss at the outputs is measured on calibration
       data: its sensitivity.
    2. Layers take cheaper formats in the order of what they lose for what they save.
    3. With a budget of accuracy, programs with more or fewer of these steps are made and measured,
       by halving; with one of size, steps are taken until it is met.

    The report lists layers with their sensitivities and formats. What stays float can be stored
    in 16 bits by `reduce-precision` afterwards.

    Args:
        formats: What a layer can have beside "float": "int8", "int8-dynamic", "int8-weights",
            "int4-weights"; see `quantize`, `quantize-dynamic` and `quantize-weights`.
        least_sqnr: Signal to noise that the outputs keep, in decibels.
        most_loss: What `evaluate` may give less than for the program before.
        most_bytes: Of all weights.
        measure: What sensitivity is: noise ("sqnr") or the divergence of the outputs' softmax
            ("kl").
        save: What a budget of accuracy is spent on: "bytes" of weights or "work", multiply-adds,
            of which one of integers counts a quarter.
        scope: Of `quantize`, for the layers in int8.
        samples: How many calibration samples sensitivity and accuracy are measured on.

    Needs: calibration data, and exactly one budget.
    Keeps: the budget, measured on the calibration data, or by `evaluate`.
    Skips: weights that are computed.
    """

    name = "mix-precision"
    contract = "lossy"

    formats: tuple[str, ...] = ("int8", "int8-weights", "int4-weights")
    least_sqnr: float | None = None
    most_loss: float | None = None
    most_bytes: int | None = None
    measure: Measure = "sqnr"
    save: Saving = "bytes"
    scope: Scope = "auto"
    samples: int = 64

    def run(self, program: Program) -> int:
        """Give layers their formats; the number of layers that are not float."""
        self._check()
        judge = Judge(program, self.context.needs_calibration(self.name), self.samples)
        units = _units(program)
        losses, sizes = self._sensitivities(program, units, judge)
        options = {path: self._options(units[path], losses[path], sizes[path]) for path in units}
        moves = order_moves(options)
        count = self._count(program, judge, options, moves)
        chosen = formats_after(options, moves[:count])
        changed = sum(name != FLOAT for name in chosen.values())
        if changed:
            self._apply(program, chosen, self.scope)
        self._describe(losses, sizes, chosen, judge.loss(program))
        return changed

    def _check(self) -> None:
        budgets = [self.least_sqnr, self.most_loss, self.most_bytes]
        if sum(budget is not None for budget in budgets) != 1:
            raise CompileError(
                "mix-precision needs exactly one budget",
                got=f"{sum(budget is not None for budget in budgets)}",
                fix="give least_sqnr, most_loss or most_bytes",
            )
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            raise CompileError(
                "formats name none that there is",
                got=", ".join(unknown) or "no formats",
                fix=f"use {', '.join(FORMATS)}",
            )
        if self.most_loss is not None and self.context.evaluate is None:
            raise CompileError(
                "most_loss needs a measure of quality", fix="give optimize or compile evaluate=..."
            )
        for option, known in (("measure", ("sqnr", "kl")), ("save", ("bytes", "work"))):
            if getattr(self, option) not in known:
                raise CompileError(
                    f"{option} must be {known[0]} or {known[1]}",
                    got=f"{option}={getattr(self, option)!r}",
                )

    def _sensitivities(
        self, program: Program, units: Mapping[str, Sequence[Node]], judge: Judge
    ) -> tuple[dict[str, dict[str, Loss]], dict[str, dict[str, int]]]:
        """For each layer and format alone: the loss, and how many bytes weights then have."""
        whole = _weight_bytes(program)
        losses: dict[str, dict[str, Loss]] = {path: {FLOAT: Loss(0.0, 0.0)} for path in units}
        sizes: dict[str, dict[str, int]] = {path: {FLOAT: 0} for path in units}
        for number, path in enumerate(units):
            self.context.progress(f"{self.name}: sensitivity", number / len(units))
            for name in self.formats:
                alone = dict.fromkeys(units, FLOAT) | {path: name}
                changed = program.copy()
                if self._apply(changed, alone, "products", judge):
                    losses[path][name] = judge.loss(changed)
                    sizes[path][name] = _weight_bytes(changed) - whole
        return losses, sizes

    def _apply(
        self, program: Program, chosen: Mapping[str, str], scope: Scope, judge: Judge | None = None
    ) -> int:
        """Run the passes that give layers their formats; the number of their rewrites."""
        data = self.context.calibration if judge is None else judge.data
        count = 0
        for template in passes_for(chosen, scope):
            pass_ = replace(template)  # a report of its own
            vars(pass_)["context"] = PassContext(calibration=data, original=self.context.original)
            count += pass_.run(program)
            program.drop_dead()
        return count

    def _options(
        self, layers: Sequence[Node], losses: Mapping[str, Loss], sizes: Mapping[str, int]
    ) -> list[Option]:
        """The formats of one layer, float first."""
        work = float(sum(map(macs, layers)))
        found = []
        for name, loss in losses.items():
            lost = loss.noise if self.measure == "sqnr" else loss.divergence
            by_work = self.save == "work" and self.most_bytes is None
            cost = work * work_factor(name) if by_work else float(sizes[name])
            found.append(Option(name, lost, cost))
        return found

    def _count(
        self,
        program: Program,
        judge: Judge,
        options: Mapping[str, Sequence[Option]],
        moves: Sequence[Move],
    ) -> int:
        """How many moves the budget needs or allows."""
        if self.most_bytes is not None:
            room = self.most_bytes - _weight_bytes(program)
            fitting = (n for n in range(len(moves) + 1) if cost_after(options, moves[:n]) <= room)
            count = next(fitting, None)
            if count is None:
                least = _weight_bytes(program) + int(cost_after(options, moves))
                raise CompileError(
                    "weights do not get as small as most_bytes",
                    got=f"most_bytes={self.most_bytes}, but at least {least} are needed",
                    fix="allow smaller formats, or more bytes",
                )
            return count
        before = None if self.most_loss is None else self._quality(program)

        def holds(number: int) -> bool:
            changed = program.copy()
            self._apply(changed, formats_after(options, moves[:number]), self.scope)
            if before is not None and self.most_loss is not None:
                return before - self._quality(changed) <= self.most_loss
            return self.least_sqnr is not None and judge.loss(changed).sqnr >= self.least_sqnr

        return most_that(holds, len(moves))

    def _quality(self, program: Program) -> float:
        assert self.context.evaluate is not None
        return float(self.context.evaluate(program))

    def _describe(
        self,
        losses: Mapping[str, Mapping[str, Loss]],
        sizes: Mapping[str, Mapping[str, int]],
        chosen: Mapping[str, str],
        after: Loss,
    ) -> None:
        """Write layers, sensitivities and formats into the report."""
        layers: dict[str, Any] = {}
        for path, known in losses.items():
            sensitivities = {
                name: _plain(loss) | {"bytes": sizes[path][name]}
                for name, loss in known.items()
                if name != FLOAT
            }
            layers[path] = {"format": chosen[path], "sensitivity": sensitivities}
        self.report.details.update(_plain(after), layers=layers)


def _plain(loss: Loss) -> dict[str, float | None]:
    """A loss for the report; there is no ratio where nothing is lost."""
    return {"sqnr": loss.sqnr if math.isfinite(loss.sqnr) else None, "kl": loss.divergence}


def _units(program: Program) -> dict[str, list[Node]]:
    """Layers and embeddings by module; a module that has some takes in those of its children."""
    found: dict[str, list[Node]] = {}
    for node in program.graph.nodes:
        if node.target not in _LAYERS:
            continue
        if weight_of(program, arguments_of(node)["weight"]) is not None:
            found.setdefault(origin_of(node).module_path, []).append(node)
    units: dict[str, list[Node]] = {}
    for path in sorted(found, key=len):
        outer = next((other for other in units if path.startswith(f"{other}.")), path)
        units.setdefault(outer, []).extend(found[path])
    return {path: units[path] for path in found if path in units}


def _weight_bytes(program: Program) -> int:
    """Of all weights; zero points of weights are 0, and no library stores them."""
    weights = program.weights.values()
    return sum(weight.nbytes for weight in weights if weight.dtype is not torch.int64)
