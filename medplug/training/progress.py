"""What a training tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal[
    "reading", "looking for duplicates", "fitting", "training", "validating", "operating points", "novelty", "saving"
]


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands. `steps` is None until a budget has been measured; `losses` are the latest, by name.

    `images` says how many have been looked at, of how many, while it is looking for duplicates. `notes` are what is to
    be known of the data, told once, before the first step.
    """

    phase: Phase
    step: int = 0
    steps: int | None = None
    losses: dict[str, float] = field(default_factory=dict)
    seconds_left: float | None = None
    images: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


Report = Callable[[TrainingProgress], None]
