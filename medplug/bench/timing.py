"""Rounds in which every contestant has its turn, so that a disturbance of the machine meets all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from .contestant import Run

_SHORT = 0.005
"""Seconds: a shorter call is repeated until a turn takes as long."""

_LONG, _FEW = 1.5, 3
"""A call of more seconds than the first takes part in so many rounds only."""


@dataclass
class Times:
    """Seconds of one call, by round: on the clock, and of the CPU over all threads of the process."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def seconds(self, threads: int) -> float:
        """The figure that is compared: for one thread the median of CPU time, for more the best time on the clock.

        Other processes hardly disturb the one; how well threads share the work, only the other shows.
        """
        return statistics.median(self.cpu) if threads == 1 else min(self.wall)


def turn(run: Run, repeats: int = 1) -> tuple[float, float]:
    """Call `repeats` times; return the seconds of one call on the clock and of the CPU."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall / repeats, cpu / repeats


def repeats_for(seconds: float) -> int:
    """Return how often a call of so many seconds is repeated in one turn."""
    return max(1, math.ceil(_SHORT / max(seconds, 1e-6)))


def interleaved(runs: Sequence[Run], rounds: int) -> list[Times]:
    """Time each in `rounds` rounds, beginning with another one each time. Each has been called once before."""
    first = [turn(run)[0] for run in runs]
    times = [Times() for _ in runs]
    for n in range(rounds):
        for place in range(len(runs)):
            who = (n + place) % len(runs)
            if n >= _FEW and first[who] > _LONG:
                continue
            wall, cpu = turn(runs[who], repeats_for(first[who]))
            times[who].wall.append(wall)
            times[who].cpu.append(cpu)
    return times
