"""What stands in red above an evaluation: figures that say that the model, its thresholds or the labels are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..operating_figures import Drift, Rate
from .bootstrap import Estimate
from .tally import Key

_AREAS = ("AUC", "AUROC")


def warnings_of(found: Mapping[Key, Estimate], drifts: Sequence[Drift]) -> tuple[str, ...]:
    """Return the warnings: no better than chance or than the majority, upside down, or a promise that does not hold."""
    return (*_areas(found), *_majority(found), *_points(drifts))


def one_answer(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """Return the warning that every row got the same answer, where the truth is not the same of all."""
    given = [label for label, counts in zip(labels, zip(*confusion)) if any(counts)]
    if len(given) != 1 or sum(map(any, confusion)) < 2:
        return ()
    return (f"every row is answered {given[0]}: the model tells nothing apart",)


def _areas(found: Mapping[Key, Estimate]) -> list[str]:
    alike: dict[tuple[str, str], list[tuple[Key, Estimate]]] = {}  # of two exclusive labels, both areas are one
    for key, one in found.items():
        if key[0] in _AREAS and one.low is not None and one.high is not None and one.low <= 0.5:
            figure = f"{one.value:.6f} ({one.low:.6f} to {one.high:.6f})"
            alike.setdefault((key[0], figure), []).append((key, one))
    said = []
    for (name, _), same in alike.items():
        labels = [label for (_, label), _ in same if label is not None]
        one = same[0][1]
        whose = f"{name} of {' and of '.join(labels)}" if labels else name
        figure = f"{whose} is {one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
        if one.high is not None and one.high < 0.5:
            said.append(f"{figure}: worse than chance. The scores or the labels are upside down")
        else:
            said.append(f"{figure}: it cannot be told from chance, as with labels that say nothing of the images")
    return said


def _majority(found: Mapping[Key, Estimate]) -> list[str]:
    accuracy, majority = found.get(("accuracy", None)), found.get(("majority accuracy", None))
    if accuracy is None or majority is None or accuracy.value > majority.value:
        return []
    return [
        f"accuracy is {accuracy.value:.3f}, and always giving the most frequent label has {majority.value:.3f}: "
        "the answers are worth no more than that"
    ]


def _points(drifts: Sequence[Drift]) -> list[str]:
    said = []
    told: list[Drift] = []
    for one in drifts:
        if not one.in_force or any(_mirrored(one, other) for other in told):
            continue
        told.append(one)
        mirror = next((other.label for other in drifts if other.in_force and _mirrored(one, other)), None)
        cut = "" if mirror is None else f", the cut for {mirror} too"
        if one.sensitivity is not None and one.specificity is not None:
            both = one.sensitivity.value + one.specificity.value
            if both < 1:
                ends = [rate.value if rate.high is None else rate.high for rate in (one.sensitivity, one.specificity)]
                surely = "worse than chance. The threshold is upside down" if sum(ends) < 1 else "no better than chance"
                said.append(
                    f"{one.label} at its threshold{cut}: sensitivity {one.sensitivity.value:.3f} and specificity "
                    f"{one.specificity.value:.3f} sum to less than 1, {surely}"
                )
                continue
        rates = {
            "sensitivity": (one.promised_sensitivity, one.sensitivity),
            "specificity": (one.promised_specificity, one.specificity),
        }
        for name in one.broken:
            promise, rate = rates[name]
            assert promise is not None
            assert rate is not None
            verb = "promised" if one.how.startswith(name) else "reached"  # a rate that is no aim was merely met
            said.append(
                f"{one.label} at its threshold ({one.how}{cut}): {name} {promise:.3f} was {verb} on validation rows, "
                f"and here it is {_said(rate)}, {100 * (promise - rate.value):.0f} points less. "
                "The threshold does not hold"
            )
    return said


def _mirrored(one: Drift, other: Drift) -> bool:
    """Whether two points are one cut between two exclusive labels: what is found of the one is missed of the other."""
    if one.label == other.label or one.sensitivity is None or one.specificity is None:
        return False
    reached = (one.promised_sensitivity, one.sensitivity), (one.promised_specificity, one.specificity)
    theirs = (other.promised_specificity, other.specificity), (other.promised_sensitivity, other.sensitivity)
    return one.how == other.how and reached == theirs


def _said(rate: Rate) -> str:
    between = "" if rate.low is None or rate.high is None else f" ({rate.low:.3f} to {rate.high:.3f})"
    return f"{rate.value:.3f}{between}"
