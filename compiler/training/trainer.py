"""`train`: makes the weights of a program better at an objective, in place."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..batches import Batch, Batches, as_batches
from ..errors import CompileError
from ..ir.program import Program
from .callbacks import Callback, Regularizer
from .checkpoint import describe_run, load_checkpoint, save_checkpoint
from .feed import Feed
from .forward import Forward, Objective, moved
from .optimizer import make_optimizer
from .options import TrainingOptions
from .parameters import make_trainable, masks_of, optimizer_groups
from .processes import start_processes
from .samples import Samples
from .state import Training, Validation
from .validator import Validator

Data = Iterable[Any] | Samples


def train(
    program: Program,
    objective: Objective,
    data: Data,
    *,
    options: TrainingOptions | None = None,
    validation: Data | None = None,
    measure: Objective | None = None,
    keep_best: bool = True,
    callbacks: Sequence[Callback] = (),
) -> Training:
    """Train `program` in place.

    The result depends on nothing but the arguments; a run that is resumed from a checkpoint gives
    what it would have given without the interruption.

    Args:
        program: Plain tensors that its layers read as weights become parameters.
        objective: Gives what is minimized, a mean over the samples of a batch, from a function that
            runs the program on them (it takes the options of `run_batched`) and the batch. The
            parameters of one that is an `nn.Module` are trained along.
        data: Batches for the program, with labels if the objective reads them.
        options: How to train.
        validation: Batches that are not trained on.
        measure: What is measured on them, the objective if left out.
        keep_best: Whether the weights of the best validation win, those of the beginning included.
        callbacks: Called in their order.

    Raises:
        CompileError: Nothing to train, data that does not fit, or a loss that is not finite.
    """
    options = options or TrainingOptions()
    batches = _in_order(program, validation, options.batch_size or 1)
    validator = Validator(batches, measure or objective, keep_best)
    with torch.random.fork_rng(devices=[]):
        trainer = _Trainer(program, objective, _checked(program, data), options, callbacks)
        return trainer.run(validator)


class _Trainer:
    def __init__(
        self,
        program: Program,
        objective: Objective,
        data: Batches | Samples,
        options: TrainingOptions,
        callbacks: Sequence[Callback],
    ) -> None:
        self.options, self.callbacks = options, callbacks
        self.description = describe_run(program, options) if options.checkpoint else ""
        self.processes = start_processes(options)
        self.feed = Feed(program, data, options, self.processes.count)
        steps = options.steps or options.epochs * self.feed.steps_per_epoch
        self.state = Training(program, options, steps)
        trained = make_trainable(program, options.freeze, embeddings=options.embeddings == "train")
        self.masks = [(trained[k], mask) for k, mask in masks_of(program).items() if k in trained]
        groups = optimizer_groups(program, trained, options.weight_decay)
        if isinstance(objective, nn.Module):
            groups.append({"params": list(objective.parameters())})
        groups = [group for group in groups if group["params"]]
        self.forward = Forward(program, objective, options.batch_norm == "batch")
        self.forward.to(self.processes.device)
        optimizer = make_optimizer(groups, options)
        self.module, self.optimizer = self.processes.prepare(self.forward, optimizer)
        self.position = 0  # updates made in this epoch
        self.random_state: Tensor | None = None  # in the middle of the epoch that is resumed

    def run(self, validator: Validator) -> Training:
        state = self.state
        self.validator = validator
        self._resume()
        self._tell("on_start")
        if not state.validations:
            self._validate()
        while state.step < state.steps and not state.stopped:
            self._run_epoch()
        self._validate()
        self._tell("on_end")
        self.optimizer.zero_grad()
        validator.restore_best(self.forward)
        self.forward.to("cpu")
        return state

    def _run_epoch(self) -> None:
        state, options = self.state, self.options
        torch.manual_seed(options.seed + state.epoch)
        for number, group in enumerate(self.feed.epoch(state.epoch)):
            if number < self.position:
                continue  # made before the checkpoint
            if state.stopped or state.step == state.steps:
                return
            if self.random_state is not None:
                torch.set_rng_state(self.random_state)
                self.random_state = None
            self._update(group)
            self._tell("on_step")
            if options.validate_every and state.step % options.validate_every == 0:
                self._validate()
            if options.checkpoint_every and state.step % options.checkpoint_every == 0:
                self._save()
        state.epoch, self.position = state.epoch + 1, 0
        if not options.validate_every:
            self._validate()
        self._tell("on_epoch")
        if not options.checkpoint_every:
            self._save()

    def _update(self, group: Sequence[Batch]) -> None:
        """One step of the optimizer by the mean gradient over all samples of `group`."""
        state, processes = self.state, self.processes
        state.lr = self.options.lr_at(state.step, state.steps)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = state.lr
        self.optimizer.zero_grad()
        self._add_penalties()
        mine = group[processes.index :: processes.count]
        share = processes.count / sum(batch.times for batch in group)
        state.loss = 0.0
        for batch in mine:
            with nullcontext() if batch is mine[-1] else processes.hold(self.module):
                with processes.autocast():
                    loss = self.module(moved(batch, processes.device)) * (share * batch.times)
                state.loss += self._finite(loss)
                processes.backward(loss)
        for weight, mask in self.masks:
            if weight.grad is not None:
                weight.grad *= mask.to(weight.device)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        processes.update(self.optimizer, weights, self.options.clip)
        state.step += 1
        self.position += 1
        state.losses.append(state.loss)

    def _add_penalties(self) -> None:
        for callback in self.callbacks:
            if isinstance(callback, Regularizer):
                with self.processes.hold(self.module):
                    penalty = callback.penalty(self.state)
                    self._finite(penalty)
                    self.processes.backward(penalty)

    def _finite(self, loss: Tensor) -> float:
        if loss.numel() != 1 or not loss.detach().isfinite().all():
            raise CompileError(
                f"the loss of update {self.state.step + 1} is no finite number",
                got=str(loss.detach()),
                fix="lower the learning rate, clip gradients, or look for odd data",
            )
        return float(loss.detach())

    def _validate(self) -> None:
        if self.validator.validate(self.state, self.forward, self.processes):
            self._tell("on_validation")

    def _save(self) -> None:
        if not self.options.checkpoint or self.processes.index:
            return
        state = self.state
        content = {
            "weights": self.forward.state_dict(),
            "validator": self.validator.state(),
            "optimizer": self.optimizer.state_dict(),
            "processes": self.processes.state(),
            "callbacks": [callback.state() for callback in self.callbacks],
            "random_state": torch.get_rng_state(),
            "position": self.position,
            "progress": (state.step, state.epoch, state.losses, state.stopped),
            "validations": [(one.step, one.value) for one in state.validations],
        }
        save_checkpoint(Path(self.options.checkpoint), self.description, content)

    def _resume(self) -> None:
        if not self.options.checkpoint:
            return
        content = load_checkpoint(Path(self.options.checkpoint), self.description)
        if content is None:
            return
        state = self.state
        self.forward.load_state_dict(content["weights"])
        self.validator.restore(content["validator"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.processes.restore(content["processes"])
        for callback, kept in zip(self.callbacks, content["callbacks"], strict=True):
            callback.restore(kept)
        self.position = content["position"]
        self.random_state = content["random_state"] if self.position else None
        state.step, state.epoch, state.losses, state.stopped = content["progress"]
        state.validations = [Validation(*one) for one in content["validations"]]

    def _tell(self, event: str) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self.state)


def _checked(program: Program, data: Data) -> Batches | Samples:
    return data if isinstance(data, Samples) else as_batches(program, data)


def _in_order(program: Program, data: Data | None, size: int) -> list[Batch]:
    if data is None:
        return []
    checked = _checked(program, data)
    return checked.in_order(size) if isinstance(checked, Samples) else list(checked)
