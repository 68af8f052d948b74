"""What becomes of operating points on the rows that are evaluated: their drift, and what a positive answer is worth."""

from __future__ import annotations

import msgspec


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Rate(_Part, frozen=True):
    """A proportion with its 95 % interval; None where it cannot be had."""

    value: float
    low: float | None = None
    high: float | None = None


TOO_FAR = 0.10
"""A rate so far below its promise, below it by its whole interval and outside of the promise's own, is warned of."""


class Drift(_Part, frozen=True):
    """What an operating point promised on validation rows, and what it did on these.

    The promise is the rate that was aimed at, and for the other rate what was reached (see `Threshold.how`), with the
    interval that it had there. A rate is None where no row can tell it, a promise where none was made.
    """

    label: str
    how: str
    value: float
    in_force: bool
    promised_sensitivity: float | None = None
    promised_specificity: float | None = None
    reached_sensitivity: tuple[float, float] | None = None
    reached_specificity: tuple[float, float] | None = None
    sensitivity: Rate | None = None
    specificity: Rate | None = None

    @property
    def broken(self) -> tuple[str, ...]:
        """Return which promises are broken: of "sensitivity", "specificity"."""
        rates = (
            ("sensitivity", self.promised_sensitivity, self.reached_sensitivity, self.sensitivity),
            ("specificity", self.promised_specificity, self.reached_specificity, self.specificity),
        )
        return tuple(name for name, promise, reached, rate in rates if _too_far(promise, reached, rate))


def _too_far(promise: float | None, reached: tuple[float, float] | None, rate: Rate | None) -> bool:
    if promise is None or rate is None or promise - rate.value <= TOO_FAR:
        return False
    if reached is not None and rate.value >= reached[0]:  # few validation rows promised no more than that
        return False
    return rate.high is None or rate.high < promise


class Predictive(_Part, frozen=True):
    """The predictive values of the point in force where `prevalence` of the rows have the label.

    `sample` says that it is the evaluated rows' own prevalence. A value is None where no row is answered so.
    """

    label: str
    prevalence: float
    sample: bool = False
    positive: Rate | None = None
    negative: Rate | None = None
