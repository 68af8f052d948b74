"""What a report shows of one answered case, drawn at once so that no pixels are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ..case import Case, Image
from ..model_folder import LoadedModel, Threshold
from ..operating import ANOMALOUS
from ..result import Anomaly, Classification, Explanation, Novelty, Regression, Result, Segmentation
from .html_page import number, percent
from .pictures import LABEL_COLOURS, Shown, grey, heat, middle_slice, outlines, try_show


@dataclass(frozen=True)
class Bar:
    """A probability, the threshold that it has to reach if there is one, and whether it does."""

    label: str
    value: float
    threshold: float | None = None
    positive: bool = False


@dataclass(frozen=True)
class Layer:
    """A picture to be laid over the plain one; `low` and `high` are the ends of a heat map's scale."""

    uri: str
    caption: str
    low: str = ""
    high: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseView:
    """One case as text and pictures: `headline` is the answer, `shown` its picture or why there is none."""

    number: int
    source: str
    headline: str
    detail: str
    facts: str
    unverified: tuple[str, ...]
    novelty: Novelty | None = None
    bars: tuple[Bar, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    shown: Shown | str | None = None
    layers: tuple[Layer, ...] = ()
    beside: tuple[tuple[str, str], ...] = ()

    @property
    def anchor(self) -> str:
        """An id for the picture, by its content: equal ids in one report show equal pictures."""
        return "" if not isinstance(self.shown, Shown) else sha256(self.shown.uri.encode()).hexdigest()[:16]

    @property
    def bytes(self) -> int:
        """How much the pictures weigh."""
        uris = [layer.uri for layer in self.layers] + [uri for uri, _ in self.beside]
        return sum(map(len, uris)) + (len(self.shown.uri) if isinstance(self.shown, Shown) else 0)


def view(number_: int, case: Case | None, result: Result, loaded: LoadedModel, pictures: bool) -> CaseView:
    """Describe an answered case, with its pictures if asked for."""
    prediction = result.prediction
    image = None if case is None else case.image
    headline, detail = describe(result, loaded.thresholds)
    bars: tuple[Bar, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    if isinstance(prediction, Classification):
        bars = _bars(prediction, loaded.thresholds)
    elif isinstance(prediction, Regression):
        values = tuple((name, number(value)) for name, value in prediction.values.items())
    elif isinstance(prediction, Segmentation) and prediction.mask is not None:
        values = tuple(_extents(prediction, image))
    shown = try_show(image) if pictures and image is not None else None
    drawn = isinstance(shown, Shown)
    return CaseView(
        number=number_,
        source=_place(result),
        headline=headline,
        detail=detail,
        facts="" if image is None else facts(image),
        unverified=result.unverified,
        novelty=result.novelty,
        bars=bars,
        values=values,
        shown=shown,
        layers=tuple(_layers(result, shown.size)) if isinstance(shown, Shown) else (),
        beside=tuple(_beside(result, shown.size)) if drawn and isinstance(shown, Shown) else (),
    )


def describe(result: Result, thresholds: Sequence[Threshold]) -> tuple[str, str]:
    """Return the answer in a few words, and what qualifies it."""
    prediction = result.prediction
    if isinstance(prediction, Classification):
        best = most_probable(prediction)
        if prediction.abstained:
            return "abstained", f"not sure enough: {best} {percent(prediction.probabilities[best])} is the highest"
        if prediction.exclusive:
            return best, percent(prediction.probabilities[best]) + _reached(prediction.positive)
        if prediction.positive is None:
            return best, f"{percent(prediction.probabilities[best])}, the highest; no thresholds are set"
        return ", ".join(prediction.positive) or "none", "reaches its threshold"
    if isinstance(prediction, Anomaly):
        if prediction.anomalous is None:
            return f"score {number(prediction.score)}", "no threshold is set"
        limits = [f", threshold {number(one.value)}" for one in thresholds if one.label == ANOMALOUS]
        word = "anomalous" if prediction.anomalous else "not anomalous"
        return word, f"score {number(prediction.score)}{''.join(limits)}"
    if isinstance(prediction, Segmentation):
        return ", ".join(outlined(prediction)) or "nothing outlined", ""
    if isinstance(prediction, Regression) and prediction.values:
        [(name, value), *others] = prediction.values.items()
        return f"{name} {number(value)}", f"and {len(others)} more" if others else ""
    return "", ""


def _reached(positive: Sequence[str] | None) -> str:
    """Which labels reach their threshold; nothing where no label has one."""
    if positive is None:
        return ""
    return f", reaches its threshold: {', '.join(positive)}" if positive else "; no label reaches its threshold"


def most_probable(prediction: Classification) -> str:
    """Return the label of the highest probability."""
    return prediction.label or max(prediction.probabilities, key=lambda name: prediction.probabilities[name])


def outlined(prediction: Segmentation) -> list[str]:
    """Return the labels that the mask holds anywhere."""
    mask = prediction.mask
    return [] if mask is None else [name for n, name in enumerate(prediction.labels, 1) if (mask == n).any()]


def facts(image: Image) -> str:
    """Return what the source says of an image, in one line."""
    spacing = image.spacing or image.imager_spacing
    where = " at the detector" if image.spacing is None else ""
    said = [
        image.modality,
        image.body_part,
        image.view,
        " × ".join(map(str, image.shape)),
        None if spacing is None else " × ".join(f"{mm:.3g}" for mm in spacing) + f" mm{where}",
        None if image.bits is None else f"{image.bits} bit",
        "inverted" if image.values.inverted else None,
    ]
    return " · ".join(part for part in said if part)


def _place(result: Result) -> str:
    frame = f", frame {result.case.frame}" if result.case.frame else ""
    files = f" ({len(result.case.files)} files)" if len(result.case.files) > 1 else ""
    return f"{result.case.source}{frame}{files}"


def _bars(prediction: Classification, thresholds: Sequence[Threshold]) -> tuple[Bar, ...]:
    limits = {threshold.label: threshold.value for threshold in thresholds}
    ordered = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    return tuple(
        Bar(label, value, limits.get(label), label in (prediction.positive or ())) for label, value in ordered[:12]
    )


def _extents(prediction: Segmentation, image: Image | None) -> list[tuple[str, str]]:
    """How much of the image each label covers, in cm² or ml where the source states a spacing."""
    assert prediction.mask is not None
    spacing = image.spacing if image is not None else None
    found = []
    for n, label in enumerate(prediction.labels, start=1):
        covered = int((prediction.mask == n).sum())
        text = percent(covered / prediction.mask.size)
        if spacing is not None:
            size = covered * float(np.prod(spacing))
            text += f" · {size / 100:.3g} cm²" if len(spacing) == 2 else f" · {size / 1000:.3g} ml"
        found.append((label, text))
    return found


def _layers(result: Result, size: tuple[int, int]) -> list[Layer]:
    prediction, layers = result.prediction, []
    if isinstance(prediction, Anomaly) and prediction.map is not None:
        layers.append(_heat(prediction.map, "how unusual, by place"))
    if isinstance(prediction, Segmentation) and prediction.mask is not None:
        colours = LABEL_COLOURS[np.arange(len(prediction.labels)) % len(LABEL_COLOURS)]
        layers.append(
            Layer(outlines(prediction.mask, size, colours), "outlined by the model", labels=prediction.labels)
        )
    if result.explanation is not None:
        layers.append(_explained(result.explanation))
    return layers


def _explained(explanation: Explanation) -> Layer:
    caption = f"what spoke for {explanation.label} ({explanation.method})"
    return Layer(heat(explanation.map, 0.0, 1.0), caption, "none", "most")


def _heat(array: NDArray[np.float32], caption: str) -> Layer:
    """A heat map from 0, or from its lowest value if that is below, to its highest."""
    plane = array[middle_slice(len(array))] if array.ndim == 3 else array
    finite = plane[np.isfinite(plane)]
    low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    return Layer(heat(array, low, high), caption, number(low), number(high))


def _beside(result: Result, size: tuple[int, int]) -> list[tuple[str, str]]:
    prediction = result.prediction
    if isinstance(prediction, Anomaly) and prediction.reconstruction is not None:
        return [(grey(prediction.reconstruction, size), "as the model rebuilt it")]
    return []
