"""Training: from labelled data to a model folder."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import devices, golden, model_folder
from ..case import CaseReference
from ..dataset import DataOptions, load
from ..errors import CallError, PluginError, TrainingError
from ..evaluation.coverage import checked_coverage
from ..evaluation.novelty_fit import fit_novelty
from ..evaluation.operating_fit import fit_operating
from ..evaluation.operating_points import aim_of
from ..figures import HistoryPoint
from ..model import Task, Trainable
from ..model_folder import CARD, GOLDEN, NOVELTY, WEIGHTS, Card, LoadedModel, TrainingRecord
from ..preprocessing import from_plain
from ..result import Rejected
from . import checkpoint
from .budget import Budget
from .checkpoint import FOLDER, LAST, State
from .feeding import Feed, Unaugmented
from .fitting import Fitted, fit, offer_of, unit_of
from .interrupt import interruptible
from .leaks import Duplicates
from .loop import NotFiniteError
from .pretrained import read as read_pretrained
from .progress import Report, TrainingProgress
from .trainer import HISTORY, Trainer, planned_steps

__all__ = ["Trained", "TrainingProgress", "train"]


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training leaves: the model folder at `path` and its card, the losses by step, and what to tell the user.

    `left_out` are the rows that could not be learned from, each with its reason. `interrupted` says that Ctrl-C was
    pressed, also where all steps were taken by then and the model is whole.
    """

    path: Path
    card: Card
    history: tuple[HistoryPoint, ...]
    notes: tuple[str, ...]
    left_out: tuple[Rejected, ...]
    interrupted: bool = False


def train(
    plugin: str | type[Trainable],
    data: str | Path,
    output: str | Path,
    *,
    options: Mapping[str, object] | None = None,
    data_options: DataOptions = DataOptions(),  # noqa: B008  # frozen
    normal: str | None = None,
    duplicates: Duplicates = "refuse",
    budget: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    pretrained: str | Path | None = None,
    device: str = "auto",
    aim: str = "youden",
    coverage: float | None = None,
    progress: Report = lambda _: None,
) -> Trained:
    """Train an installed model on labelled data and write its model folder.

    `options` are the model's own, and the recipe's as `recipe.batch_size`. `budget` is in seconds. An anomaly model
    learns the rows with the label `normal` alone. `duplicates` says what becomes of images that stand in two splits,
    the same pixels or nearly: nothing is trained ("refuse"), the earlier split loses them ("drop"), or they stay, and
    the card says so ("keep"). `pretrained` is a safetensors file, or a model folder, whose tensors the network starts
    from where they fit. `resume` goes on where a training into `output` stopped, with the same weights in the end
    as if it had not. `aim`, "specificity=0.9" for instance, says which operating points are in force, and `coverage`
    fits an abstention: see `fit_operating`. After Ctrl-C the best so far is written. Raises `CallError` when the call
    is wrong and `TrainingError` when the data is, or when a loss is not finite any more: then the last good is written.
    """
    began, output = time.monotonic(), Path(output)
    if budget is not None and steps is not None:
        raise CallError("a training is bounded by steps or by a budget of time, not by both")
    if (steps is not None and steps < 1) or (budget is not None and not budget > 0):
        raise CallError(f"a training of {steps or 0} steps and {budget or 0} seconds: want at least one of one")
    choose = partial(fit_operating, aim=aim_of(aim), coverage=None if coverage is None else checked_coverage(coverage))
    chosen = devices.choose(device)
    offer = offer_of(plugin)
    settings = dict(options or {})
    before = _output(output, resume, overwrite)
    start = None if pretrained is None else read_pretrained(pretrained)
    progress(TrainingProgress("reading"))
    dataset = load(data, data_options, task=offer.task, seed=seed, unit=unit_of(offer, settings))
    kept = None if before is None else from_plain(before.preprocessing)
    fitted = fit(offer, dataset, settings, data_options, normal, kept, duplicates, progress)
    progress(TrainingProgress("fitting", notes=fitted.notes))
    fitted = replace(fitted, pretrained=start)
    _rehearse(fitted)
    trainer = Trainer(fitted, output, device=chosen, seed=seed, steps=steps or planned_steps(fitted), report=progress)
    measure = budget is not None
    if before is not None:
        measure = budget is not None and (before.step >= before.steps or not before.planned)
        planned = before.steps if before.planned else planned_steps(fitted)
        wanted = steps or (before.steps + 1 if measure else planned)
        trainer.restore(*checkpoint.to_resume(output, wanted, trainer.schedule))
        trainer.loop.steps = wanted
    elif output.exists():
        _clear(output)
    if budget is not None and measure:
        trainer.measure(Budget(budget, began))
    return _run(trainer, data, data_options, progress, choose)


def _output(output: Path, resume: bool, overwrite: bool) -> State | None:
    """Check that a training may write to `output`; return the state to resume from, None for a new training."""
    if resume:
        state = checkpoint.read_state(output / FOLDER / LAST)
        if state is None:
            raise CallError(f"{output} holds no checkpoint to resume: train without --resume")
        return state
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    if not output.is_dir() or not ((output / CARD).exists() or (output / FOLDER).exists()):
        raise CallError(f"{output} exists and is no model folder: name a new folder for the model")
    if not overwrite:
        raise CallError(f"{output} holds a model already: --resume it, --overwrite it, or name a new folder")
    return None


def _clear(output: Path) -> None:
    """Take an older model away, its card first: what has no card is no model."""
    for name in (CARD, WEIGHTS, GOLDEN, NOVELTY, HISTORY):
        (output / name).unlink(missing_ok=True)
    shutil.rmtree(output / FOLDER, ignore_errors=True)


def _rehearse(fitted: Fitted) -> None:
    """Let the untrained network answer the golden inputs, since a model that cannot should not be trained first."""
    try:
        golden.compute(_loaded(fitted, model_folder.build(fitted.model, seed=0)))
    except Exception as error:
        raise PluginError(
            f"{fitted.model.name} cannot answer an image that its own contract admits ({error}): "
            "let its preprocessing resize images, or its contract refuse them"
        ) from error


def _loaded(fitted: Fitted, network: nn.Module) -> LoadedModel:
    return LoadedModel(
        model=fitted.model,
        network=network,
        labels=fitted.model.labels,
        contract=fitted.contract,
        preprocessing=fitted.preprocessing,
    )


def _run(
    trainer: Trainer,
    data: str | Path,
    data_options: DataOptions,
    progress: Report,
    choose: Callable[..., LoadedModel],
) -> Trained:
    failed: NotFiniteError | None = None
    with interruptible() as interrupted:
        try:
            stopped: str = trainer.run(interrupted)
        except NotFiniteError as error:
            failed, stopped = error, "not finite"
            step, weights = trainer.weights()
            if not step or not all(bool(one.isfinite().all()) for one in weights.values()):
                raise TrainingError(f"{error}; no good weights came before it. Lower the learning rate") from error
        trained = _finish(trainer, stopped, data, data_options, progress, choose)
        trained = replace(trained, interrupted=interrupted())
    if failed is not None:
        raise TrainingError(
            f"{failed}; the last good weights, of step {step}, are in {trained.path}. Lower the learning rate"
        ) from failed
    return trained


def _finish(
    trainer: Trainer,
    stopped: str,
    data: str | Path,
    data_options: DataOptions,
    progress: Report,
    choose: Callable[..., LoadedModel],
) -> Trained:
    """Fit the operating points and the novelty of the best weights, and write the model folder."""
    fitted, loop = trainer.fitted, trainer.loop
    notes = [*fitted.notes, *trainer.notes]
    step, weights = trainer.weights()
    loop.average.load_state_dict(weights)
    _measure(trainer)
    loaded = _loaded(fitted, loop.average)
    if len(fitted.validation):
        progress(TrainingProgress("operating points", loop.step, loop.steps))
        loaded = choose(loaded, fitted.validation, str(trainer.device), normal=fitted.normal, say=notes.append)
        progress(TrainingProgress("novelty", loop.step, loop.steps))
        loaded = fit_novelty(loaded, fitted.train, fitted.validation, str(trainer.device), say=notes.append)
    else:
        notes.append("no validation rows: the last weights are kept, without calibration, thresholds or novelty")
    progress(TrainingProgress("saving", loop.step, loop.steps))
    failed = [Rejected(CaseReference(source=source), refused) for source, refused in trainer.feed.failed.items()]
    if failed:
        notes.append(f"{len(failed)} rows could not be read; the first is {failed[0].outcome.reason}")
    (trainer.output / CARD).unlink(missing_ok=True)  # never a card beside weights that are not its own
    card = golden.save(trainer.output, loaded, fitted.plugin, _record(trainer, step, stopped, data, data_options))
    return Trained(
        path=trainer.output,
        card=card,
        history=tuple(trainer.history),
        notes=tuple(notes),
        left_out=(*fitted.dataset.rejected, *fitted.left_out, *failed),
    )


def _measure(trainer: Trainer) -> None:
    """Let the model measure its rows with the weights that are kept."""
    fitted, size = trainer.fitted, trainer.batch_size
    with closing(Feed(fitted.pipeline, trainer.device)) as feed, torch.no_grad():
        rows = (Unaugmented(feed, one, size) for one in (fitted.train, fitted.val))
        fitted.model.after_training(trainer.loop.average, *rows)
    trainer.feed.failed |= feed.failed


def _record(
    trainer: Trainer, best_step: int, stopped: str, data: str | Path, data_options: DataOptions
) -> TrainingRecord:
    fitted, dataset = trainer.fitted, trainer.fitted.dataset
    return TrainingRecord(
        data_sha256=dataset.sha256,
        rows={**dataset.rows(), "train": len(fitted.train)},
        seed=trainer.seed,
        steps=trainer.loop.step,
        batch_size=trainer.batch_size,
        best_step=best_step,
        stopped=stopped,
        device=str(trainer.device),
        precision=trainer.loop.precision,
        versions={
            "medplug": metadata.version("medplug"),
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
        grouped_by=dataset.patient_column,
        normal=fitted.normal,
        data=str(data),
        label_columns=dataset.label_columns,
        patient_column=data_options.patient,
        split_column=dataset.split_column,
        mask_column=data_options.mask,
        counts=fitted.train.counts() if fitted.model.task in (Task.CLASSIFICATION, Task.ANOMALY) else {},
        leaks=fitted.leaks,
        duplicates_dropped=fitted.dropped,
        pretrained=trainer.pretrained,
    )
