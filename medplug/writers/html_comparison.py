"""The sections of a comparison: the difference of every figure, and the rows where two models part."""

from __future__ import annotations

from collections.abc import Iterable

from ..case import Case
from ..comparison_figures import Comparison, Difference
from .html_page import Section, count, fill
from .pictures import try_show

_SIDE = 320


def comparison_sections(made: Comparison, cases: Iterable[Case] = ()) -> tuple[Section, ...]:
    """Return a comparison's sections; `cases` bring the pictures of the rows, by the name of their source."""
    return (_figures(made), *([_apart(made, cases)] if made.apart else []))


def _figures(made: Comparison) -> Section:
    reach = max(
        (max(abs(one.low or 0), abs(one.high or 0), abs(one.difference)) for one in made.differences), default=1
    )
    who = f" of {count(made.patients)} patients" if made.patients else ""
    by = f"of whole patients ({made.clustered_by})" if made.clustered_by else "of rows"
    body = fill(
        "comparison.html",
        made=made,
        rows=[(one, _strip(one, reach or 1.0)) for one in made.differences],
        models=[(name, path, _weights(one)) for name, path, one in _models(made)],
        interval=f"95 % intervals of the difference, from {count(made.resamples)} bootstrap draws {by} for both.",
    )
    return Section("A and B on the same rows", body, f"{count(made.rows)} rows{who} of the {made.split} split.")


def _models(made: Comparison) -> tuple[tuple[str, str, str | None], ...]:
    return tuple(
        (name, path, None if one is None else one.weights_sha256)
        for name, path, one in (("A", made.a, made.model_a), ("B", made.b, made.model_b))
    )


def _weights(sha256: str | None) -> str:
    return "no weights stored" if sha256 is None else f"weights {sha256[:12]}"


def _strip(one: Difference, reach: float) -> tuple[float, float, float] | None:
    """Where the interval and the difference lie on a line from -reach to reach: 0 to 1."""
    if one.low is None or one.high is None:
        return None
    low, at, high = (0.5 + value / reach / 2 for value in (one.low, one.difference, one.high))
    return low, at, high


def _apart(made: Comparison, cases: Iterable[Case]) -> Section:
    wanted = {one.source for one in made.apart}
    shown = {case.reference.source: try_show(case.image, _SIDE) for case in cases if case.reference.source in wanted}
    body = fill("apart.html", rows=[(one, shown.get(one.source)) for one in made.apart])
    return Section("Where they part", body, "The rows that the models answer most differently.")
