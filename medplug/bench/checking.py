"""Whether an answer is right. A wrong answer has no time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .reference import PLACES, expected, places
from .work import Work

Answer = Literal["exact", "close", "wrong"]

EXACT_LARGEST = 2.0**-12
"""No place is off by more than one grey level of a 12-bit display, the window being all of them,"""
EXACT_MEAN = 2.0**-14
"""and on the average by less than a quarter of one."""
CLOSE_RMS = 0.01
"""The root of the mean square error of another antialiasing filter that is still a good one: 40 dB."""
CLOSE_LABELS = 0.001
"""The share of pixels with another label that a mask may have, along outlines."""


@dataclass(frozen=True)
class Verdict:
    """An answer's class, and its largest error in units of the window; of a mask the share of wrong labels."""

    answer: Answer
    error: float
    problem: str | None = None


class Checker:
    """The reference answer of one item at so many places, worked out once."""

    def __init__(self, work: Work, count: int = PLACES) -> None:
        self._work = work
        self._places = places(work, count)
        self._expected = expected(work, self._places)

    def judge(self, answer: NDArray[Any]) -> Verdict:
        """Compare an answer, of any shape with the right number of items."""
        shape = self._work.answer_shape
        if answer.size != math.prod(shape) or answer.dtype != np.float32:
            return Verdict(
                "wrong", math.inf, f"{answer.dtype} of {answer.shape}; float32 with the items of {shape} is wanted"
            )
        got = answer.reshape(shape)[tuple(self._places.T)].astype(np.float64)
        if not np.isfinite(got).all():
            return Verdict("wrong", math.inf, "holds values that are not finite")
        off = np.abs(got - self._expected)
        if self._work.tone is None:
            share = float((off > 0).mean())
            return Verdict("exact" if share == 0 else "close" if share <= CLOSE_LABELS else "wrong", share)
        off *= self._work.tone.std
        largest = float(off.max())
        if largest <= EXACT_LARGEST and float(off.mean()) <= EXACT_MEAN:
            return Verdict("exact", largest)
        return Verdict("close" if math.sqrt(float((off**2).mean())) <= CLOSE_RMS else "wrong", largest)


def worse(one: Verdict, other: Verdict) -> Verdict:
    """Return the worse of two."""
    return max(one, other, key=lambda verdict: (["exact", "close", "wrong"].index(verdict.answer), verdict.error))
