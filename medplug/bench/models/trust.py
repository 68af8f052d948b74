"""What else is asked of a model that is to be trusted: that it stops at foreign images, and that its maps point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ... import sources
from ...dataset import Dataset
from ...evaluation.explanation_figures import check_explanations
from ...evaluation.novelty_figures import novelty_against
from ...session import Session

WORST, FOREIGN, OWN = "novelty AUROC, worst kind", "foreign images stopped", "own rows stopped"
HIT = "pointing hit"

_LEAST = 10  # foreign images of a kind, or an AUROC says nothing

Foreign = Mapping[str, Sequence[Path]]
"""Images of another kind than a model's own, by kind."""


def stopping(session: Session, own: Dataset, foreign: Foreign) -> dict[str, float]:
    """Return how well a model's novelty tells its own rows from foreign images; nothing where it has none.

    The AUROC is that of the kind that is told apart worst; the shares are of what is marked as novel or refused.
    """
    if session.loaded.novelty is None or not foreign:
        return {}
    unit = session.loaded.contract.unit
    areas: list[float] = []
    stopped: list[tuple[float, int]] = []
    for paths in foreign.values():
        cases = list(sources.read([str(path) for path in paths], unit))
        made = novelty_against(session, own, cases, resamples=0)
        stopped.append((made.foreign_stopped.value, made.foreign))
        if made.auroc is not None and made.foreign_scored >= _LEAST:
            areas.append(made.auroc.value)
    found = {
        FOREIGN: sum(share * count for share, count in stopped) / sum(count for _, count in stopped),
        OWN: made.own_stopped.value,
    }
    return found | ({WORST: min(areas)} if areas else {})


def pointing(session: Session, rows: Dataset, seed: int) -> dict[str, float]:
    """Return how often maps point at planted lesions, and by how much more often than each control.

    Nothing for a model that cannot be explained, or that too few lesions move.
    """
    if session.loaded.model.attribution_layer(session.network) is None:
        return {}
    explained = check_explanations(session, rows, seed=seed, resamples=0).explained
    names = {"pointing hit": HIT, "hit above control": f"{HIT} above"}
    return {
        f"{names[one.name]} {one.label or ''}".strip(): one.value
        for one in explained.figures
        if (one.name, one.label is None) in (("pointing hit", True), ("hit above control", False))
    }
