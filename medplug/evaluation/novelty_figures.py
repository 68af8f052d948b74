"""How often a model marks images as unlike its training rows: its own kind, and images of another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..case import Case
from ..dataset import Dataset
from ..errors import CallError
from ..figures import Figure
from ..result import Rejected, Result, Skipped
from ..session import Session
from .bootstrap import estimate
from .intervals import of_area, of_share, reaching
from .scores import Floats, Truths, area, mean
from .tally import Key, Share

SHARE = "novel share"
"""The share of the evaluated rows that are marked as unlike what the model was trained on."""


def novel_kind(novel: Truths) -> dict[Key, Share]:
    """Return what that share is made of: which of the rows are `novel` [N]."""
    return {(SHARE, None): Share(novel, np.ones(len(novel), dtype=np.bool_))}


@dataclass(frozen=True, eq=False)
class NoveltyAgainst:
    """How a model's novelty tells images of its own kind from foreign ones.

    `auroc` is of the score alone, over what got one. `own_stopped` and `foreign_stopped` are the shares that are marked
    as novel or refused, for whatever reason. `own` and `foreign` count the images, `own_scored` and `foreign_scored`
    those that got a score: the input contract refuses others before.
    """

    auroc: Figure | None
    own_stopped: Figure
    foreign_stopped: Figure
    own: int
    foreign: int
    own_scored: int
    foreign_scored: int


def novelty_against(
    session: Session, own: Dataset, foreign: Iterable[Case | Rejected], *, resamples: int = 1000, seed: int = 0
) -> NoveltyAgainst:
    """Compare the novelty of a model's `own` test rows with that of `foreign` cases, such as `sources.read` gives.

    Intervals draw whole patients of `own`, and foreign cases one by one. What is `Skipped` is no image and does not
    count. Raises `CallError` for a model without a measure of novelty, and where one of both has no image.
    """
    if session.loaded.novelty is None:
        raise CallError(f"{session.loaded.model.name} has no measure of novelty: train it with validation rows")
    ours = _results(session, own.cases)
    theirs = _results(session, foreign)
    if not ours or not theirs:
        raise CallError(f"{len(ours)} own and {len(theirs)} foreign images: want some of both")
    patients = np.arange(len(ours)) if own.patients is None else np.unique(own.patients, return_inverse=True)[1]
    clusters = np.concatenate([patients, patients.max() + 1 + np.arange(len(theirs))]).astype(np.int64)
    results = [*ours, *theirs]
    strange = np.arange(len(results)) >= len(ours)
    stopped = np.array([one.refused or (one.novelty is not None and one.novelty.novel) for one in results])
    scores = np.array([np.nan if one.novelty is None else one.novelty.score for one in results])
    scored = np.isfinite(scores)

    def statistics(weights: Floats) -> dict[str, Floats]:
        return {
            "auroc": area(scores[scored], strange[scored], weights[:, scored]),
            "own": mean(np.where(strange, np.nan, stopped), weights),
            "foreign": mean(np.where(strange, stopped, np.nan), weights),
        }

    ends = {name: of_share(stopped[rows], clusters[rows]) for name, rows in (("own", ~strange), ("foreign", strange))}
    units = [len(np.unique(clusters[scored & rows])) for rows in (strange, ~strange)]
    found = {}
    for name, one in estimate(statistics, clusters, resamples, seed).items():
        if name == "auroc" and one.value in (0.0, 1.0):
            ends[name] = of_area(one.value, *units)
        one = reaching(one, ends.get(name))
        found[name] = Figure(name=_NAMES[name], value=one.value, low=one.low, high=one.high)
    return NoveltyAgainst(
        auroc=found.get("auroc"),
        own_stopped=found["own"],
        foreign_stopped=found["foreign"],
        own=len(ours),
        foreign=len(theirs),
        own_scored=int(scored[~strange].sum()),
        foreign_scored=int(scored[strange].sum()),
    )


_NAMES = {"auroc": "novelty AUROC", "own": "own stopped", "foreign": "foreign stopped"}


def _results(session: Session, cases: Iterable[Case | Rejected]) -> list[Result]:
    answered = (answer.result for answer in session.answer(cases))
    return [result for result in answered if not isinstance(result.prediction, Skipped)]
