"""A budget of time, turned into a number of steps once, early."""

from __future__ import annotations

import time
from collections.abc import Callable

_WARM_STEPS = 2  # the first are slow: caches are cold
_FEWEST, _MOST = 8, 200  # steps that are timed
_LONGEST = 5.0  # seconds of timing
STEPS = _WARM_STEPS + _MOST
"""The steps that measuring takes at most."""


class Budget:
    """`seconds` from `began` (monotonic clock) for a whole training: its steps, validations and saving."""

    def __init__(self, seconds: float, began: float) -> None:
        self._seconds, self._deadline = seconds, began + seconds
        self._taken = 0
        self._since = 0.0

    def measured(self, validation: Callable[[], float], every: int) -> int | None:
        """Count one more step; once enough are timed, return how many more fit, and None before.

        `validation` returns the seconds that one takes; there is one in `every` steps.
        """
        now = time.monotonic()
        self._taken += 1
        if self._taken <= _WARM_STEPS:
            self._since = now
            return None
        timed = self._taken - _WARM_STEPS
        if timed < _FEWEST or (timed < _MOST and now - self._since < min(_LONGEST, self._seconds / 25)):
            return None
        validating = validation()
        # What comes after the last step: a validation, operating points, golden tensors, and luck.
        left = self._deadline - time.monotonic() - 2 * validating - 0.03 * self._seconds - 1
        return max(int(left / ((now - self._since) / timed + validating / every)), 0)
