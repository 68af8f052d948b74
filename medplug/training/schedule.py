"""How learning rates rise, stay and fall: a trapezoid, so that a training can be resumed towards more steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """Rise over `warmup` steps, stay at 1, fall to zero over the last `decay` of the steps (Hägele et al. 2024).

    Until the fall begins nothing depends on how many steps are planned, so what a training has reached by then serves
    every longer one.
    """

    kind: Literal["trapezoid", "constant"]
    warmup: int
    decay: float

    def falls_from(self, steps: int) -> int:
        """Return the first step, counted from 0, that depends on the plan of `steps`."""
        if self.kind == "constant":
            return steps
        return steps - round(self.decay * steps)

    def rate(self, step: int, steps: int) -> float:
        """Return what scales the learning rates at `step`, counted from 0, of `steps`."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        start = self.falls_from(steps)
        if step < start:
            return rise
        return rise * (steps - step) / (steps - start + 1)

    def least_steps(self, done: int) -> int:
        """Return the fewest steps that may be planned when `done` of them have been taken without a fall."""
        steps = max(done, 1)
        while self.falls_from(steps) < done:
            steps += 1
        return steps
