"""The run over all steps: batches in, validations, the best weights, checkpoints, a budget, and why it stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import torch

from .. import devices, model_folder
from ..dataset import Dataset
from ..errors import TrainingError
from ..figures import HistoryPoint
from ..model_folder import PretrainedRecord
from ..preprocessing import to_plain
from . import checkpoint
from .budget import STEPS, Budget
from .checkpoint import FOLDER, LAST, STABLE, State
from .feeding import Feed
from .fitting import Fitted
from .loop import TrainingLoop
from .progress import Phase, Report, TrainingProgress
from .sampling import Sampler
from .schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor

    from ..model import Batch

HISTORY = "history.jsonl"

Stopped = Literal["finished", "patience", "interrupted"]

_VALIDATE_AT_LEAST, _VALIDATE_AT_MOST = 25, 500  # steps between validations
_CHECKPOINT_SECONDS = 60.0
_PROGRESS_SECONDS = 0.2


class Trainer:
    """Trains one fitted model. Nothing in it depends on how many steps are planned, until the learning rate falls."""

    def __init__(
        self, fitted: Fitted, output: Path, *, device: torch.device, seed: int, steps: int, report: Report
    ) -> None:
        recipe = fitted.recipe
        self.fitted, self.output, self.seed, self.report = fitted, output, seed, report
        self.notes: list[str] = []
        network = model_folder.build(fitted.model, seed)
        self.pretrained: PretrainedRecord | None = None
        if fitted.pretrained is not None:
            self.pretrained, told = fitted.pretrained.load_into(fitted.model, network)
            self.notes.append(told)
        self.loop = TrainingLoop(fitted.model, network, recipe, device=device, seed=seed, steps=steps)
        self.device, self.schedule = device, Schedule(recipe.schedule, recipe.warmup, recipe.decay)
        self.sampler = Sampler(fitted.train, seed, recipe.balance)
        self.feed = Feed(fitted.pipeline, device)
        self.batch_size = min(recipe.batch_size, len(fitted.train))
        self.every = min(max(epoch_steps(fitted), _VALIDATE_AT_LEAST), _VALIDATE_AT_MOST)
        self.budget: Budget | None = None
        self.position = 0
        self.best: dict[str, Tensor] = {}
        self.best_step, self.best_loss, self.waited = 0, math.inf, 0
        self.history: list[HistoryPoint] = []
        self._sums: dict[str, Tensor] = {}
        self._summed = 0
        self._seconds_before, self._began = 0.0, time.monotonic()
        self._first = self._steps_before = 0
        self._wrote = self._reported = time.monotonic()

    def run(self, interrupted: Callable[[], bool]) -> Stopped:
        """Train until the steps are taken, the patience is out, or the user presses Ctrl-C; say which."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            try:
                self._write_history()
                stopped = self._run(interrupted)
            finally:
                self.feed.close()
        self.write(LAST)
        return stopped

    def weights(self) -> tuple[int, dict[str, Tensor]]:
        """Return the averaged weights that validated best, or the last where nothing says which are, and their step."""
        if self.best:
            return self.best_step, self.best
        return self.loop.step, dict(self.loop.average.state_dict())

    def _run(self, interrupted: Callable[[], bool]) -> Stopped:
        batches = self._batches()
        while True:
            if self._out_of_patience:
                return "patience"
            if self.budget is None and self.loop.step == self.schedule.falls_from(self.loop.steps):
                self.write(STABLE)
            if self.loop.step >= self.loop.steps:
                if not self.history or self.history[-1].step < self.loop.step:
                    self._validate()
                return "finished"
            if interrupted() and self.loop.step:
                return "interrupted"
            if not self._step(batches):
                batches = self._halved()
                continue
            if self.budget is not None:
                self._plan(self.budget)
            if self.loop.step % self.every == 0:
                self._validate()
            if time.monotonic() - self._wrote > _CHECKPOINT_SECONDS:
                self.write(LAST)

    @property
    def _out_of_patience(self) -> bool:
        patience = self.fitted.recipe.patience
        return patience is not None and self.waited >= patience

    def _batches(self) -> Iterator[Batch]:
        augmentation = self.fitted.model.augmentation()
        return self.feed.training(self.fitted.train, self.sampler, augmentation, self.position, self.batch_size)

    def _step(self, batches: Iterator[Batch]) -> bool:
        """Take one step, unless CUDA has not enough memory for it."""
        try:
            losses = self.loop.run(next(batches))
        except torch.cuda.OutOfMemoryError as error:
            if self.batch_size < 2:
                raise TrainingError(f"step {self.loop.step + 1}: CUDA has not enough memory for one case") from error
            return False
        self.position += self.batch_size
        for name, loss in losses.items():
            self._sums[name] = self._sums[name] + loss if name in self._sums else loss
        self._summed += 1
        if time.monotonic() - self._reported > _PROGRESS_SECONDS:
            self._tell("training", {name: loss.item() for name, loss in losses.items()})
        return True

    def _halved(self) -> Iterator[Batch]:
        """Go on with half the batch, from the same place."""
        self.batch_size //= 2
        self.notes.append(
            f"CUDA ran out of memory at step {self.loop.step + 1}: the batch was halved to {self.batch_size}"
        )
        self.loop.network.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self._batches()

    def _tell(self, phase: Phase, losses: dict[str, float]) -> None:
        self._reported = time.monotonic()
        steps = self.loop.steps if self.budget is None else None
        left = None
        if steps is not None and self.loop.step > self._first:
            left = (self._reported - self._began) / (self.loop.step - self._first) * (steps - self.loop.step)
        self.report(TrainingProgress(phase, self.loop.step, steps, losses, left))

    def measure(self, budget: Budget) -> None:
        """Let `budget` say how many steps to take, once it is known what a step costs."""
        self.budget = budget
        self.loop.steps = self.schedule.least_steps(self.loop.step + STEPS + 1)  # so that nothing falls before

    def _plan(self, budget: Budget) -> None:
        """Turn the budget into a number of steps as soon as it has been measured."""
        more = budget.measured(self._time_of_validation, self.every)
        if more is not None:
            least = max(self.schedule.least_steps(self.loop.step), self._steps_before)
            self.loop.steps = max(self.loop.step + more, least)
            self.budget = None

    def _time_of_validation(self) -> float:
        """The seconds that a validation takes, by its first batches."""
        rows = self.fitted.val
        if not len(rows):
            return 0.0
        few = rows.take(range(min(len(rows), 4 * self.batch_size)))
        began = time.monotonic()
        self._validation_loss(few)
        return (time.monotonic() - began) * len(rows) / len(few)

    def _validate(self) -> None:
        """Add a point to the history, and keep the averaged weights if they are the best so far."""
        losses = {f"train/{name}": (total / self._summed).item() for name, total in self._sums.items()}
        self._sums, self._summed = {}, 0
        self._tell("validating", losses)
        loss = self._validation_loss(self.fitted.val)
        if loss is not None:
            losses["val/loss"] = loss
            if loss < self.best_loss:
                self.best = {name: one.clone() for name, one in self.loop.average.state_dict().items()}
                self.best_step, self.best_loss, self.waited = self.loop.step, loss, 0
            else:
                self.waited += 1
        finite = {name: value for name, value in losses.items() if math.isfinite(value)}  # JSON has no other numbers
        self.history.append(HistoryPoint(step=self.loop.step, seconds=self._seconds, losses=finite))
        self._write_history()
        self._tell("training", losses)

    def _validation_loss(self, rows: Dataset) -> float | None:
        """The mean loss of the averaged weights over `rows`, in full precision; None where the model has none."""
        total, count = 0.0, 0
        with torch.inference_mode():
            for batch in self.feed.validation(rows, self.batch_size):
                loss = self._loss_in_parts(batch)
                if loss is None:
                    return None
                total, count = total + loss * len(batch), count + len(batch)
        return total / count if count else None

    def _loss_in_parts(self, batch: Batch) -> float | None:
        """The validation loss of a batch, by halves where CUDA has not enough memory for the whole."""
        try:
            loss = self.fitted.model.validation_loss(self.loop.average, batch)
            return None if loss is None else loss.item()
        except torch.cuda.OutOfMemoryError:
            if len(batch) < 2:
                raise
        parts = devices.split(batch, (len(batch) + 1) // 2)
        losses = [self._loss_in_parts(part) for part in parts]
        return sum(loss * len(part) for loss, part in zip(losses, parts) if loss is not None) / len(batch)

    @property
    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    def _write_history(self) -> None:
        lines = b"".join(msgspec.json.encode(point) + b"\n" for point in self.history)
        self.output.mkdir(parents=True, exist_ok=True)
        model_folder.write_whole(self.output / HISTORY, lines)

    def write(self, name: str) -> None:
        """Write a checkpoint of how the training stands, between two steps."""
        state = State(
            made_from=self.fitted.made_from(self.seed),
            step=self.loop.step,
            steps=self.loop.steps,
            position=self.position,
            batch_size=self.batch_size,
            seconds=self._seconds,
            best_step=self.best_step,
            best_loss=self.best_loss if self.best else None,
            planned=self.budget is None,
            waited=self.waited,
            history=tuple(self.history),
            summed=self._summed,
            optimizers=self.loop.plain(),
            preprocessing=to_plain(self.fitted.preprocessing),
        )
        tensors = self.loop.tensors()
        tensors |= {f"best/{name}": one for name, one in self.best.items()}
        tensors |= {f"sum/{name}": one for name, one in self._sums.items()}
        checkpoint.write(self.output / FOLDER / name, state, tensors)
        self._wrote = time.monotonic()

    def restore(self, path: Path, state: State) -> None:
        """Continue from a checkpoint, which must have been made from the same settings and data."""
        checkpoint.check_same(state, self.fitted.made_from(self.seed), self.output)
        tensors = checkpoint.read_tensors(path)
        self.loop.restore(state.step, tensors, state.optimizers)
        self.best = {name.removeprefix("best/"): one for name, one in tensors.items() if name.startswith("best/")}
        self._sums = {
            name.removeprefix("sum/"): one.to(self.device) for name, one in tensors.items() if name.startswith("sum/")
        }
        self.position, self.batch_size, self._summed = state.position, state.batch_size, state.summed
        self.best_step, self.waited, self.history = state.best_step, state.waited, list(state.history)
        self.best_loss = math.inf if state.best_loss is None else state.best_loss
        self._seconds_before, self._first, self._steps_before = state.seconds, state.step, state.steps


def epoch_steps(fitted: Fitted) -> int:
    """Return the steps in which every training row is seen once."""
    return math.ceil(len(fitted.train) / min(fitted.recipe.batch_size, len(fitted.train)))


def planned_steps(fitted: Fitted) -> int:
    """Return the steps that the recipe asks for."""
    return fitted.recipe.steps or max(1, round(fitted.recipe.epochs * epoch_steps(fitted)))
