"""Whether one model is better than another: both on the same rows, the same patients drawn for both.

The rows are shared, so their luck is too: the interval of the difference is narrower than those of the two figures say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..comparison_figures import Comparison, DeLong, Difference
from ..dataset import DataOptions, Dataset
from ..errors import CallError
from ..model import Task
from ..model_folder import LoadedModel, load, write_whole
from ..session import Session
from .answered import Answered, Progress, answer, normal_of
from .bootstrap import Estimate, estimate
from .comparison_rows import farthest, mcnemar, right
from .delong import delong
from .intervals import of_mean, of_same, reaching
from .learned_rows import learned
from .main import tally_of
from .measured_data import dataset_of
from .questions import clusters_of, questions
from .scores import Floats
from .tally import Key, Kind, Mean, Share, Tally

FILE = "comparison.json"

_LOWER_IS_BETTER = ("ECE", "Brier", "log loss")
_NOT_COMPARED = ("majority accuracy",)
_HEADLINES = ("balanced accuracy", "AUROC", "macro AUC", "accuracy")


def compare(
    a: str | Path | LoadedModel,
    b: str | Path | LoadedModel,
    data: str | Path | Dataset | None = None,
    *,
    split: str = "test",
    data_options: DataOptions | None = None,
    device: str = "auto",
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two classifiers, or two anomaly models, on the rows of one split that both of them answer.

    `data` defaults to what both were trained on. Raises `CallError` for models of different tasks or labels, for models
    trained on different data when none is named, and where there is no row that both answer.
    """
    names = tuple(str(one) if not isinstance(one, LoadedModel) else one.model.name for one in (a, b))
    first, second = (one if isinstance(one, LoadedModel) else load(one) for one in (a, b))
    _comparable(first, second)
    dataset = data if isinstance(data, Dataset) else _data(first, second, data, data_options)
    rows = dataset.of(split)
    if not len(rows):
        has = ", ".join(f"{count} {name}" for name, count in dataset.rows().items())
        raise CallError(f"the data has no {split} rows; it has {has or 'none'}")
    one, other = (answer(Session(loaded, device), rows, progress) for loaded in (first, second))
    both = np.intersect1d(one.rows, other.rows)
    if not len(both):
        raise CallError(f"there is no {split} row that both models answer")
    one, tally_a = tally_of(first, _only(one, both), rows, dataset)
    other, tally_b = tally_of(second, _only(other, both), rows, dataset)
    clusters = clusters_of(rows, one.rows)
    found = _differences(tally_a, tally_b, clusters, resamples, seed)
    if not found:
        raise CallError("there is no figure to compare: nothing is known of the rows that both models answer")
    tests, untested = _delong(first, one, second, other, rows, clusters)
    right_a, right_b = right(first, one, rows), right(second, other, rows)
    where = None if isinstance(data, Dataset) else data
    seen = [learned(loaded, f"model {name}", dataset, rows, where) for name, loaded in (("A", first), ("B", second))]
    return Comparison(
        task=first.model.task.value,
        split=split,
        rows=len(one),
        data_sha256=dataset.sha256,
        a=names[0],
        b=names[1],
        model_a=first.reference,
        model_b=second.reference,
        differences=found,
        resamples=resamples,
        verdict=_verdict(found, len(one)),
        mcnemar=None if right_a is None or right_b is None else mcnemar(right_a, right_b),
        delong=tests,
        apart=farthest(first, one, second, other, rows),
        clustered_by=None if rows.patients is None else rows.patient_column or "patient",
        patients=None if rows.patients is None else len(np.unique(clusters)),
        warnings=tuple(warning for found_ in seen for warning in found_.warnings),
        notes=(*(note for found_ in seen for note in found_.notes), *_notes(rows, len(both), clusters), *untested),
    )


def write(comparison: Comparison, folder: str | Path) -> Path:
    """Write `comparison.json` into a folder, which is made, and return its path."""
    path = Path(folder) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, msgspec.json.format(msgspec.json.encode(comparison), indent=2) + b"\n")
    return path


def _comparable(first: LoadedModel, second: LoadedModel) -> None:
    tasks = first.model.task, second.model.task
    if tasks[0] is not tasks[1]:
        raise CallError(f"one model is for {tasks[0].value} and the other for {tasks[1].value}: they share no figure")
    if tasks[0] not in (Task.CLASSIFICATION, Task.ANOMALY):
        raise CallError(f"models for {tasks[0].value} are not compared: evaluate each, and see their figures")
    if tasks[0] is Task.CLASSIFICATION and (
        set(first.labels.names) != set(second.labels.names) or first.labels.exclusive != second.labels.exclusive
    ):
        kinds = [
            f"{', '.join(loaded.labels.names)} ({'one of them' if loaded.labels.exclusive else 'each by itself'})"
            for loaded in (first, second)
        ]
        raise CallError(f"the models know different labels: {kinds[0]}; and {kinds[1]}")
    if tasks[0] is Task.ANOMALY and normal_of(first) != normal_of(second):
        raise CallError(f"the models call different rows normal: {normal_of(first)} and {normal_of(second)}")


def _data(first: LoadedModel, second: LoadedModel, data: str | Path | None, options: DataOptions | None) -> Dataset:
    found = dataset_of(first, data, options)
    if data is None and dataset_of(second).sha256 != found.sha256:
        raise CallError(
            "the models were trained on different data, or on other splits of it: name the data, whose rows neither "
            "of them has learned"
        )
    return found


def _only(answered: Answered, rows: NDArray[np.int64]) -> Answered:
    return answered.of(np.flatnonzero(np.isin(answered.rows, rows)))


def _differences(a: Tally, b: Tally, clusters: NDArray[np.int64], resamples: int, seed: int) -> tuple[Difference, ...]:
    def statistics(weights: Floats) -> Mapping[tuple[Key, str], Floats]:
        one, other = a.statistics(weights), b.statistics(weights)
        shared = [key for key in one if key in other and key[0] not in _NOT_COMPARED]
        return {
            (key, which): value
            for key in shared
            for which, value in (("a", one[key]), ("b", other[key]), ("difference", one[key] - other[key]))
        }

    found = estimate(statistics, clusters, resamples, seed)
    keys = [key for key, which in found if which == "difference"]
    apart = {key: found[key, "difference"] for key in keys}
    sure = {key for key in keys if {found[key, "a"].value, found[key, "b"].value} & {0.0, 1.0}}

    def units(key: Key) -> int:
        """Of a share, such as precision, that is of other rows in either model: the fewer."""
        among = [kind.among for tally in (a, b) for kind in [tally.kinds[key]] if isinstance(kind, Share)]
        return min(len(np.unique(clusters[rows])) for rows in among)

    return tuple(
        _difference(key, found[key, "a"].value, found[key, "b"].value, _with_width(key, apart, sure, a.kinds, units))
        for key in keys
    )


def _with_width(
    key: Key,
    apart: Mapping[Key, Estimate],
    sure: Set[Key],
    kinds: Mapping[Key, Kind],
    units: Callable[[Key], int],
) -> Estimate:
    """A difference whose interval keeps a width: that of shares does, by how many patients, `units`, they are of.

    Of other figures that are 0 or 1, which `sure` names, nobody knows the width, and there is no interval. Otherwise
    a difference without a width is that of answers in the same order.
    """
    one, kind = apart[key], kinds.get(key)
    if one.low is None or one.high is None or one.low < one.high:
        return one
    if isinstance(kind, Share):
        return of_same(one, units(key), -1, 1)
    if isinstance(kind, Mean) and all(isinstance(kinds[part], Share) for part in kind.of):
        parts = [_with_width(part, apart, sure, kinds, units) for part in kind.of if part in apart]
        ends = [(part.low, part.high) for part in parts if part.low is not None and part.high is not None]
        if len(ends) == len(parts):
            return reaching(one, of_mean([part.value for part in parts], ends, -1.0))
    return Estimate(one.value, None, None) if key in sure else one


def _delong(
    first: LoadedModel,
    one: Answered,
    second: LoadedModel,
    other: Answered,
    rows: Dataset,
    clusters: NDArray[np.int64],
) -> tuple[tuple[DeLong, ...], tuple[str, ...]]:
    """DeLong's test of each label's areas, of two exclusive ones once; or the note that says why there is none."""
    if rows.patients is not None and len(np.unique(clusters)) < len(clusters):
        why = "some patients have several rows, and it takes rows as independent"
        return (), (f"no DeLong test of the areas: {why}. The intervals draw whole patients",)
    asked = [
        questions(loaded.model.task, loaded.labels, answered, rows, normal_of(loaded))
        for loaded, answered in ((first, one), (second, other))
    ]
    theirs = {question.label: question for question in asked[1]}
    wanted = asked[0][:1] if len(asked[0]) == 2 and first.labels.exclusive else asked[0]
    anomaly = first.model.task is Task.ANOMALY
    found = [
        delong(question.scores, theirs[question.label].scores, question.positive, None if anomaly else question.label)
        for question in wanted
    ]
    return tuple(test for test in found if test is not None), ()


def _difference(key: Key, a: float, b: float, found: Estimate) -> Difference:
    verdict = None
    if found.low is not None and found.high is not None and (found.low > 0 or found.high < 0):
        verdict = "a" if (found.value > 0) != (key[0] in _LOWER_IS_BETTER) else "b"
    return Difference(
        name=key[0], label=key[1], a=a, b=b, difference=found.value, low=found.low, high=found.high, verdict=verdict
    )


def _verdict(found: tuple[Difference, ...], rows: int) -> str:
    """One sentence on the figure that counts most."""
    overall = {one.name: one for one in found if one.label is None}
    headline = next((overall[name] for name in _HEADLINES if name in overall), found[0])
    return sentence(headline, rows)


def sentence(one: Difference, rows: int) -> str:
    """Say a difference: who is better by how much, or that it cannot be told."""
    name = one.name if one.label is None else f"{one.name} of {one.label}"
    if one.low is None or one.high is None:
        return f"{name}: A has {one.a:.3f} and B {one.b:.3f}; without an interval nothing can be told"
    if one.verdict is None:
        return (
            f"{name}: no difference can be told from {rows} rows; A - B is {one.difference:+.3f} "
            f"({one.low:+.3f} to {one.high:+.3f})"
        )
    ends = sorted((abs(one.low), abs(one.high)))
    return (
        f"{name}: {one.verdict.upper()} is better by {abs(one.difference):.3f} ({ends[0]:.3f} to {ends[1]:.3f}) on "
        f"{rows} rows"
    )


def _notes(rows: Dataset, both: int, clusters: NDArray[np.int64]) -> tuple[str, ...]:
    notes = []
    if both < len(rows):
        notes.append(f"{len(rows) - both} rows that one of the models refused are left out")
    if rows.patients is None:
        notes.append("no patient ids: intervals treat every row as independent")
    elif len(np.unique(clusters)) < len(clusters):
        notes.append("McNemar's test counts every row by itself; the intervals draw whole patients")
    return tuple(notes)
