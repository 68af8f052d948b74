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
    said = []
    for (name, label), one in found.items():
        if name not in _AREAS or one.low is None or one.high is None or one.low > 0.5:
            continue
        whose = f"{name} of {label}" if label else name
        figure = f"{whose} is {one.value:.3f} ({one.low:.3f} to {one.high:.3f})"
        if one.high < 0.5:
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
    for one in drifts:
        if not one.in_force:
            continue
        if one.sensitivity is not None and one.specificity is not None:
            both = one.sensitivity.value + one.specificity.value
            if both < 1:
                ends = [rate.value if rate.high is None else rate.high for rate in (one.sensitivity, one.specificity)]
                surely = "worse than chance. The threshold is upside down" if sum(ends) < 1 else "no better than chance"
                said.append(
                    f"{one.label} at its threshold: sensitivity {one.sensitivity.value:.3f} and specificity "
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
                f"{one.label} at its threshold ({one.how}): {name} {promise:.3f} was {verb} on validation rows, and "
                f"here it is {_said(rate)}, {100 * (promise - rate.value):.0f} points less. The threshold does not hold"
            )
    return said


def _said(rate: Rate) -> str:
    between = "" if rate.low is None or rate.high is None else f" ({rate.low:.3f} to {rate.high:.3f})"
    return f"{rate.value:.3f}{between}"
