"""Which rows train, validate and test: as the data says, or made by patient and seed. Patients never span splits."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import CallError, TrainingError

_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
"""The shares of the rows where the data brings no split."""

CARVED = {"train": 0.85, "val": 0.15}
"""The shares of the train rows where the data brings a split without validation rows."""


def parse(values: Sequence[str], column: str) -> NDArray[np.str_]:
    """Return "train", "val" or "test" for each value of a split column; `CallError` names the values that are none."""
    found = [_NAMES.get(value.strip().lower(), "") for value in values]
    strange = sorted({value for value, name in zip(values, found) if not name})
    if strange:
        named = ", ".join(repr(value) for value in strange[:10])
        raise CallError(f"the split column {column!r} holds {named}; want {', '.join(_NAMES)}")
    return np.array(found, dtype=np.str_)


def make(
    strata: Sequence[str], groups: Sequence[str], seed: int, shares: dict[str, float] = SHARES
) -> NDArray[np.str_]:
    """Share rows out to splits. Rows of one group stay together; each stratum is shared as well as groups allow.

    A group that holds rows of several strata counts for the rarest. What a stratum is too small to give a split, the
    next ones make up for. The answer depends on the seed and on the names of the groups, not on the order of the rows.
    """
    rows, frequency = Counter(groups), Counter(strata)
    found: dict[str, set[str]] = defaultdict(set)
    for group, stratum in zip(groups, strata):
        found[group].add(stratum)
    by_stratum: dict[str, list[str]] = defaultdict(list)
    for group, held in found.items():
        by_stratum[min(held, key=lambda stratum: (frequency[stratum], stratum))].append(group)

    split_of: dict[str, str] = {}
    owed = dict.fromkeys(shares, 0.0)  # rows that the strata so far have left a split short of
    for stratum in sorted(by_stratum, key=lambda stratum: (-frequency[stratum], stratum)):
        members = by_stratum[stratum]
        total, largest = sum(rows[group] for group in members), max(rows[group] for group in members)
        missing = {}
        for split, share in shares.items():
            owed[split] += share * total
            # A large stratum's debt must not take a small one's train rows: no more than a group is made up for.
            missing[split] = min(max(owed[split], share * total - largest), share * total + largest)
        for group in sorted(members, key=lambda group: hashlib.sha256(f"{seed}/{group}".encode()).digest()):
            split = max(missing, key=lambda split: round(missing[split], 6))
            split_of[group] = split
            missing[split] -= rows[group]
            owed[split] -= rows[group]
    return np.array([split_of[group] for group in groups], dtype=np.str_)


def refuse_spanning(splits: NDArray[np.str_], patients: NDArray[np.str_], rows: Sequence[str]) -> None:
    """Raise `TrainingError` when a patient has rows in several splits; it names them, and of `rows` one a split."""
    seen: dict[str, dict[str, str]] = defaultdict(dict)
    for patient, split, row in zip(patients.tolist(), splits.tolist(), rows):
        seen[patient].setdefault(split, row)
    spanning = sorted(patient for patient, found in seen.items() if len(found) > 1)
    if spanning:
        named = "; ".join(
            f"{patient!r} ({', '.join(f'{split}: {row}' for split, row in sorted(seen[patient].items()))})"
            for patient in spanning[:10]
        )
        many = "1 patient has" if len(spanning) == 1 else f"{len(spanning)} patients have"
        more = f"; and {len(spanning) - 10} more" if len(spanning) > 10 else ""
        raise TrainingError(
            f"{many} rows in several splits, so what is measured would flatter: {named}{more}. "
            "Give each patient one split, or take the split column away and one is made by patient"
        )
