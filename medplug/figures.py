"""The figures that training and evaluation leave behind, as data: what reports draw and programs read."""

from __future__ import annotations

import msgspec

from .operating_figures import Drift, Predictive
from .result import ModelReference


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Figure(_Part, frozen=True):
    """One metric, for one label where it has one, with its 95 % interval; None where it cannot be had."""

    name: str
    value: float
    label: str | None = None
    low: float | None = None
    high: float | None = None


class Curve(_Part, frozen=True):
    """Points of a plot.

    "roc" (x = 1 - specificity, y = sensitivity), "calibration" (x = stated, y = observed) or "coverage" (x = the most
    sure part of the rows, y = its accuracy).
    """

    kind: str
    label: str | None
    x: tuple[float, ...]
    y: tuple[float, ...]


class Scored(_Part, frozen=True):
    """One evaluated row: what was true, what was answered, and how sure the answer was."""

    source: str
    truth: str
    answer: str
    score: float


class Probe(_Part, frozen=True):
    """What a trivial model reached that looks at `kind` alone, having learned from `rows` train rows.

    On the rows of `split`; on train rows each was told by a probe that had learned from other patients' rows.
    """

    kind: str
    split: str
    rows: int
    figures: tuple[Figure, ...]


class Subgroup(_Part, frozen=True):
    """The figures of the rows where `by` is `group`; none where they are fewer than ten. `counts` is by label."""

    by: str
    group: str
    rows: int
    patients: int | None
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    figures: tuple[Figure, ...] = ()


class Neighbour(_Part, frozen=True):
    """A generated image and the training image nearest to it.

    `picture` is the generated one, as a PNG data URI; `source` names the other. `distance` is that of their pixels, as
    a share of the distance at which the median real image lies from the nearest training image.
    """

    name: str
    picture: str
    source: str
    distance: float


class Perturbed(_Part, frozen=True):
    """Deletion and insertion scores of maps (Petsiuk et al. 2018) on `rows` rows, their pixels cut into `steps` parts.

    Figures: "deletion", which is better lower, and "insertion", of the maps and (by label) of each control; "deletion
    below control" and "insertion above control", paired, above 0 where the maps are better.
    """

    rows: int
    steps: int
    figures: tuple[Figure, ...] = ()

    def figure(self, name: str, label: str | None = None) -> Figure:
        """Return one figure; `KeyError` when it was not computed."""
        return _find(self.figures, name, label)


class Explained(_Part, frozen=True):
    """How the maps of where a model looked stood their controls, on `rows` rows of which `planted` could be used.

    Figures: "pointing hit", of the maps and (by label) of each control; "hit above control", paired; and the "rank
    correlation" of maps with those of shuffled weights. None of them where too few lesions moved the answer.
    `perturbed` are scores that need no lesion.
    """

    method: str
    rows: int
    planted: int
    figures: tuple[Figure, ...] = ()
    perturbed: Perturbed | None = None

    def figure(self, name: str, label: str | None = None) -> Figure:
        """Return one figure; `KeyError` when it was not computed."""
        return _find(self.figures, name, label)


class Evaluation(_Part, frozen=True):
    """How a model did on the rows of one split.

    Intervals are bootstrap percentiles over `resamples` draws, of whole patients when `clustered_by` names their
    column; those of shares reach at least as far as Wilson's, and areas of exactly 0 or 1 have Newcombe's.
    `confusion[i][j]` counts rows of label i that were answered j. `worst` lists the most confident errors.
    `warnings`, shown in red, say why the figures may not be what they seem; `notes` say what else is to be known.
    `drift` is what operating points do here. `neighbours` are the generated images nearest to training images.
    """

    task: str
    split: str
    rows: int
    refused: int
    data_sha256: str
    plan_id: str
    model: ModelReference | None
    figures: tuple[Figure, ...]
    resamples: int
    clustered_by: str | None = None
    patients: int | None = None
    labels: tuple[str, ...] = ()
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    curves: tuple[Curve, ...] = ()
    worst: tuple[Scored, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    drift: tuple[Drift, ...] = ()
    predictive: tuple[Predictive, ...] = ()
    probes: tuple[Probe, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    explained: Explained | None = None

    def figure(self, name: str, label: str | None = None) -> Figure:
        """Return one figure; `KeyError` when it was not computed."""
        return _find(self.figures, name, label)


def _find(figures: tuple[Figure, ...], name: str, label: str | None) -> Figure:
    for one in figures:
        if one.name == name and one.label == label:
            return one
    raise KeyError(f"no figure {name!r} for {label!r}")


class HistoryPoint(_Part, frozen=True):
    """The losses at one step of a training, by name: `train/...` averaged since the last point, `val/loss`."""

    step: int
    seconds: float
    losses: dict[str, float]
