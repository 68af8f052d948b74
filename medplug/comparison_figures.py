"""Two models on the same rows, as data: what the report of a comparison draws and programs read."""

from __future__ import annotations

import msgspec

from .result import ModelReference


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Difference(_Part, frozen=True):
    """One figure of both models, and `a` - `b` with its 95 % interval, the same rows drawn for both.

    `verdict` is "a" or "b" for the better one, None where the interval does not tell.
    """

    name: str
    label: str | None
    a: float
    b: float
    difference: float
    low: float | None = None
    high: float | None = None
    verdict: str | None = None


class Apart(_Part, frozen=True):
    """A row that the models answer most differently: what each said, and the probability or score that goes with it."""

    source: str
    truth: str
    answer_a: str
    score_a: float
    answer_b: str
    score_b: float


class McNemar(_Part, frozen=True):
    """Rows that `only_a` or `only_b` answers rightly, and the exact two-sided p of that many by chance."""

    only_a: int
    only_b: int
    p: float


class DeLong(_Part, frozen=True):
    """The difference A - B of two areas under ROC curves with DeLong's 95 % interval, and the two-sided p of none.

    `label` is None for the one question of anomaly models.
    """

    label: str | None
    difference: float
    low: float
    high: float
    p: float


class Comparison(_Part, frozen=True):
    """Two models on the same `rows` of one split; intervals are of whole patients when `clustered_by` is given.

    `delong` tests the areas, label by label, where each row is a patient of its own.
    """

    task: str
    split: str
    rows: int
    data_sha256: str
    a: str
    b: str
    model_a: ModelReference | None
    model_b: ModelReference | None
    differences: tuple[Difference, ...]
    resamples: int
    verdict: str
    mcnemar: McNemar | None = None
    delong: tuple[DeLong, ...] = ()
    apart: tuple[Apart, ...] = ()
    clustered_by: str | None = None
    patients: int | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def difference(self, name: str, label: str | None = None) -> Difference:
        """Return one difference; `KeyError` when it was not computed."""
        for one in self.differences:
            if one.name == name and one.label == label:
                return one
        raise KeyError(f"no difference of {name!r} for {label!r}")
