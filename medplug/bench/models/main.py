"""A benchmark of models: the data are checked, the baselines run, then every plugin, variant, seed and fold."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import medplug

from ... import model_folder
from ...dataset import load
from ...errors import CallError
from ...model import Task
from ...plugins import Offer
from ...training import TrainingProgress
from . import baselines, figures, folds, log, recipe, trial
from .folds import Fold
from .place import commit, place
from .recipe import Variant
from .report import Baseline, How, Measured, Summary, margin_name
from .rows import Numbers, Rows
from .summary import Scored, Values, paired_by_seed, summarise, summary, values
from .trial import Trial
from .trust import Foreign

RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be measured: data under a name, variants of plugins, seeds, and how.

    `normal` is the label that an anomaly model learns, `pretrained` the weights that networks start from, `features`
    the model folder of the classifier that judges a generator (without one, the first classifier of the same final run
    does), `foreign` are images of other kinds, at which a final run's models should stop. Everything is written below
    `output`; a final run goes to `log` too, a second time only if `again`.
    """

    dataset: str
    rows: Rows
    variants: Sequence[Variant]
    seeds: Sequence[int]
    output: Path
    folds: int = 3
    final: bool = False
    log: Path | None = None
    again: bool = False
    normal: str | None = None
    pretrained: Path | None = None
    features: Path | None = None
    foreign: Foreign = field(default_factory=dict)
    device: str = "auto"


@dataclass(frozen=True)
class Step:
    """Where a benchmark stands: trainings done and wanted, what runs now, and the training's own progress."""

    done: int
    wanted: int
    what: str
    training: TrainingProgress | None = None


Report = Callable[[Step], None]


def run(asked: Asked, report: Report = lambda _: None) -> tuple[Measured, ...]:
    """Run a benchmark. What is finished is kept below `output`, and the same call goes on from there.

    `CallError` for a wrong call, for data that were changed, and for a final run that the log has already.
    """
    _check(asked)
    report(Step(0, 0, "checking the data"))
    bench = _Bench(asked, report)
    for variant in asked.variants:  # all refusals come before the first training
        bench.prepare(variant)
    bench.refuse_repeated()
    return tuple(bench.measure(variant) for variant in asked.variants)


def _check(asked: Asked) -> None:
    if not asked.variants or not asked.seeds or asked.folds < 2:
        raise CallError("a benchmark wants at least one plugin, one seed and two folds")
    texts = [(variant.plugin, variant.text) for variant in asked.variants]
    if asked.final and len({plugin for plugin, _ in texts}) < len(texts):
        raise CallError("a final run takes one frozen recipe of each plugin: choose it without --final first")
    if asked.final and asked.log is None:
        raise CallError("a final run is logged: name the log with --log")


@dataclass
class _Prepared:
    """A variant with its recipe in full, the folder for its trials, and the classifier that judges a generator."""

    offer: Offer
    plain: dict[str, Any]
    recipe_sha256: str
    code_sha256: str
    folder: Path
    judge: str


@dataclass
class _Bench:
    asked: Asked
    report: Report
    prepared: dict[int, _Prepared] = field(default_factory=dict)
    logged: dict[int, Measured] = field(default_factory=dict)
    compared: dict[Task, tuple[dict[str, Values], tuple[Baseline, ...]]] = field(default_factory=dict)
    first: dict[str, Values] = field(default_factory=dict)
    classifier: Path | None = None
    done: int = 0

    def __post_init__(self) -> None:
        rows, asked = self.asked.rows, self.asked
        looked_at = np.arange(len(rows), dtype=np.int64) if asked.final else rows.of("train")
        if not len(looked_at):
            raise CallError(f"{rows.path} has no train rows")
        contents = rows.content_hashes(looked_at)
        self.data_sha256 = rows.sha256(contents, looked_at)
        grouped = folds.groups(rows, looked_at, contents)
        made = (
            [folds.final(rows, grouped)]
            if asked.final
            else folds.cross_validation(rows, looked_at, grouped, asked.folds)
        )
        self.commit = commit()  # as of the hashes of the code: a checkout may move on while it runs
        self.how: How = "final" if asked.final else "cross-validation"
        self.folds: list[Fold] = made
        self.tables = [
            rows.write(asked.output / "data" / f"{self.how}-{self.data_sha256[:12]}-{fold.number}", fold.parts)
            for fold in made
        ]
        self.held: Numbers = np.concatenate([fold.parts["test"] for fold in made])
        group_of = dict(zip(looked_at.tolist(), grouped))
        self.clusters = np.unique([group_of[row] for row in self.held.tolist()], return_inverse=True)[1].astype(
            np.int64
        )

    def prepare(self, variant: Variant) -> None:
        """Resolve a variant's recipe; refuse what may not be run."""
        asked = self.asked
        offer = recipe.offer(variant.plugin)
        normal = self._normal(offer)
        if offer.task is Task.GENERATION and asked.features is None and not (asked.final and self._classifiers()):
            raise CallError(f"{offer.name} is judged in the features of a classifier: name one with --features")
        plain = recipe.resolve(offer, variant.settings, self.tables[0], asked.rows.options, normal, asked.pretrained)
        hashed, code = recipe.sha256(plain), recipe.code_sha256(offer)
        judge = self._judge() if offer.task is Task.GENERATION else ""
        foreign = {kind: len(files) for kind, files in asked.foreign.items()} if asked.final else {}
        same = recipe.sha256([plain, code, self.data_sha256, self.how, len(self.folds), judge, foreign])
        name = f"{re.sub(r'[^A-Za-z0-9_-]+', '_', offer.qualified)}-{same[:12]}"
        self.prepared[id(variant)] = _Prepared(offer, plain, hashed, code, asked.output / name, judge)

    def refuse_repeated(self) -> None:
        """Refuse a final run that the log has, but for the first plugins of a call that was cut short at a later."""
        asked = self.asked
        if not asked.final or asked.again:
            return
        assert asked.log is not None  # checked
        for variant in asked.variants:
            ready = self.prepared[id(variant)]
            earlier = log.earlier(log.read(asked.log), ready.recipe_sha256, self.data_sha256, asked.seeds)
            finished = all(trial.read(_trial_folder(ready, seed, 0)) is not None for seed in asked.seeds)
            if earlier and finished and earlier[-1].seeds == tuple(asked.seeds):
                self.logged[id(variant)] = earlier[-1]
            else:
                log.refuse_repeated(asked.log, ready.recipe_sha256, self.data_sha256, asked.seeds)
        if len(self.logged) == len(asked.variants):
            ready = self.prepared[id(asked.variants[0])]
            log.refuse_repeated(asked.log, ready.recipe_sha256, self.data_sha256, asked.seeds)

    def _classifiers(self) -> list[_Prepared]:
        """The classifiers among the variants before."""
        earlier = [self.prepared[id(one)] for one in self.asked.variants if id(one) in self.prepared]
        return [one for one in earlier if one.offer.task is Task.CLASSIFICATION]

    def _judge(self) -> str:
        """Say which classifier judges a generator: the figures are figures of both."""
        features = self.asked.features
        if features is not None:
            return f"the classifier with the weights {model_folder.read_card(features).weights_sha256[:12]}"
        first = self._classifiers()[0]
        return f"{first.folder.name} of the same run, seed {self.asked.seeds[0]}"

    def measure(self, variant: Variant) -> Measured:
        """Run every seed and fold of a variant, and say what came out."""
        asked, ready = self.asked, self.prepared[id(variant)]
        task = ready.offer.task
        against, shown = self._baselines(task)
        trials = [self._trial(variant, ready, seed, fold) for seed in asked.seeds for fold in self.folds]
        if task is Task.CLASSIFICATION and self.classifier is None and asked.final:
            self.classifier = _trial_folder(ready, asked.seeds[0], 0) / "model"
        scored = [self._scored(one) for one in trials]
        made = values(scored, self.held, self.clusters, RESAMPLES)
        plugin = ready.offer.qualified
        differences = self._differences(made, self.first[plugin]) if plugin in self.first else ()
        self.first.setdefault(plugin, made)
        figures_found, margins = summarise(scored, made, figures.bounds), self._margins(task, made, against)
        if task is Task.GENERATION:  # its evaluation measures the baseline beside it
            baseline, more = paired_by_seed(figures_found, figures.PCA_GENERATOR, figures.of_pca)
            theirs = {figures.of_pca(one.figure) for one in baseline.figures}
            figures_found = tuple(one for one in figures_found if one.figure not in theirs)
            shown, margins = (baseline,) if baseline.figures else (), tuple(more)
        judged = [f"judged in the features of {ready.judge}"] if ready.judge else []
        measured = Measured(
            date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            how=self.how,
            dataset=asked.dataset,
            data_sha256=self.data_sha256,
            grouped_by=_grouped_by(asked.rows),
            rows={name: sum(len(fold.parts[name]) for fold in self.folds) for name in ("train", "val", "test")},
            plugin=plugin,
            task=task.value,
            settings=dict(variant.settings),
            variant=variant.text,
            recipe=ready.plain,
            recipe_sha256=ready.recipe_sha256,
            medplug=medplug.__version__,
            commit=self.commit,
            code_sha256=ready.code_sha256,
            seeds=tuple(asked.seeds),
            folds=len(self.folds),
            refused=sum(one.refused for one in trials),
            cpu_minutes=round(sum(one.cpu_seconds for one in trials) / 60, 3),
            wall_minutes=round(sum(one.wall_seconds for one in trials) / 60, 3),
            figures=figures_found,
            baselines=shown,
            margins=margins,
            differences=differences,
            place=place(trials[-1].device),
            notes=tuple(dict.fromkeys([*judged, *(note for one in trials for note in one.notes)])),
            again=asked.final and asked.again and self._logged(ready),
        )
        if id(variant) in self.logged:
            return self.logged[id(variant)]
        if asked.final:
            assert asked.log is not None  # checked
            log.append(asked.log, measured)
        return measured

    def _trial(self, variant: Variant, ready: _Prepared, seed: int, fold: Fold) -> Trial:
        asked = self.asked
        folder = _trial_folder(ready, seed, fold.number)
        wanted = len(asked.variants) * len(asked.seeds) * len(self.folds)
        words = f"{ready.offer.name} {variant.text}".strip() + f", seed {seed}"
        words += "" if asked.final else f", fold {fold.number}"
        finished = trial.read(folder)
        if finished is None:
            finished = trial.run(
                folder,
                variant.plugin,
                self.tables[fold.number],
                asked.rows.options,
                settings=variant.settings,
                normal=self._normal(ready.offer),
                pretrained=asked.pretrained,
                seed=seed,
                fold=fold.number,
                device=asked.device,
                features=asked.features or self.classifier,
                foreign=asked.foreign if asked.final else {},
                keep=asked.final,
                report=lambda now: self.report(Step(self.done, wanted, words, now)),
            )
        self.done += 1
        self.report(Step(self.done, wanted, words))
        return finished

    def _scored(self, one: Trial) -> Scored:
        parts = self.folds[one.fold].parts
        return one.scored(lambda row: self.asked.rows.number_of(parts, "test", row))

    def _normal(self, offer: Offer) -> str | None:
        if offer.task is not Task.ANOMALY:
            return None
        if self.asked.normal is None:
            raise CallError(f"{offer.name} learns normal images alone: name their label with --normal")
        return self.asked.normal

    def _baselines(self, task: Task) -> tuple[dict[str, Values], tuple[Baseline, ...]]:
        """Run the baselines of a task, once for all its variants: they depend on no seed."""
        if task not in self.compared and figures.COMPARED[task]:
            self.report(Step(self.done, 0, f"baselines of {task.value}"))
            scored: dict[str, list[Scored]] = {}
            for fold, table in zip(self.folds, self.tables):
                for name, one in self._baselines_of(task, fold, table).items():
                    scored.setdefault(name, []).append(one)
            made = {name: values(each, self.held, self.clusters, RESAMPLES) for name, each in scored.items()}
            shown = tuple(
                Baseline(name=name, figures=summarise(scored[name], made[name], figures.bounds)) for name in made
            )
            self.compared[task] = (made, shown)
        return self.compared.get(task, ({}, ()))

    def _baselines_of(self, task: Task, fold: Fold, table: Path) -> dict[str, Scored]:
        rows = self.asked.rows
        dataset = load(table, rows.options, task=Task.CLASSIFICATION)
        learned_rows, asked_rows = dataset.of("train"), dataset.of("test")
        learned, asked = baselines.pictures(learned_rows), baselines.pictures(asked_rows)
        names = dataset.labels.names
        targets, truth = learned_rows.targets[learned.rows], asked_rows.targets[asked.rows]
        if task is Task.ANOMALY:
            place_of = {value: index for index, value in enumerate(dataset.labels.values or names)}
            if self.asked.normal not in place_of:
                raise CallError(f"no row has the label {self.asked.normal!r}, named as normal")
            targets, truth = (one != place_of[self.asked.normal] for one in (targets, truth))
        positions = [asked_rows.cases[row].reference.row for row in asked.rows]
        numbers = np.array([rows.number_of(fold.parts, "test", int(row or 0)) for row in positions], np.int64)
        found = {}
        for name, told in baselines.answers(task, learned, targets.astype(np.int64), asked).items():
            statistics = (
                figures.anomaly(told[:, 0], truth.astype(np.bool_))
                if task is Task.ANOMALY
                else figures.classification(told, truth.astype(np.int64), names, {})
            )
            found[name] = Scored(0, fold.number, numbers, statistics, {})
        return found

    def _margins(self, task: Task, made: Values, against: dict[str, Values]) -> tuple[Summary, ...]:
        found = [
            summary(margin_name(figure, name), self.asked.seeds, made[figure] - theirs[figure])
            for figure in figures.COMPARED[task]
            for name, theirs in against.items()
        ]
        return tuple(one for one in found if one is not None)

    def _differences(self, made: Values, first: Values) -> tuple[Summary, ...]:
        found = [summary(name, self.asked.seeds, made[name] - first[name]) for name in made if name in first]
        return tuple(one for one in found if one is not None)

    def _logged(self, ready: _Prepared) -> bool:
        assert self.asked.log is not None  # only a final run asks
        return bool(
            log.earlier(log.read(self.asked.log), ready.recipe_sha256, self.data_sha256, tuple(self.asked.seeds))
        )


def _trial_folder(ready: _Prepared, seed: int, fold: int) -> Path:
    return ready.folder / f"seed-{seed}-fold-{fold}"


def _grouped_by(rows: Rows) -> str:
    return "equal images" if rows.options.patient is None else f"{rows.options.patient} and equal images"
