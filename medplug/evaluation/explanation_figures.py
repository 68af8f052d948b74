"""Whether a model's maps of where it looked can be believed: planted lesions, and controls that a map must beat."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..case import Case, Image
from ..dataset import Dataset
from ..errors import CallError, PreprocessingError, SourceError
from ..explain import METHOD, Method
from ..figures import Evaluation, Explained, Figure, Perturbed
from ..lesions import Lesions, body, plant
from ..result import Classification, Result
from ..session import Session
from .bootstrap import estimate
from .intervals import of_same, of_share, reaching
from .questions import clusters_of
from .scores import Floats, mean, midranks

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[int, int], None]

ROWS = 24
"""How many rows are asked where nobody says how many."""

RISE = float(np.log(3))
"""A lesion counts when it raises the log-odds of a label by this much: its odds triple."""

LADDER = (0.25, 0.4, 0.6)
"""The contrasts that are tried, each at two places: the faintest lesion that counts is taken."""

CONTROLS = ("a random place of the body", "a centred blob", "the map mirrored", "shuffled weights")
_RADIUS = (0.12, 0.18)
_PLACES = 2
_LEAST = 8  # lesions that moved the answer, or the hit rate says nothing
_ALIKE = 0.5  # a rank correlation from which two maps show the same
_EXAMPLES = 6
_SIDE = 48  # places along a side that a rank correlation compares, at most


@dataclass(frozen=True, eq=False)
class Example:
    """One planted lesion: the image with it, where it and the body are, and the maps on the source's pixels, 0 to 1."""

    case: Case
    label: str
    mask: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    map: NDArray[np.float32]
    shuffled: NDArray[np.float32]

    @property
    def hit(self) -> bool:
        """Whether the map is highest within the lesion."""
        return points_into(self.map, self.mask)

    @property
    def blob(self) -> NDArray[np.float32]:
        """The map that knows nothing: brightest in the middle of the image."""
        return centred_blob(self.mask.shape)


@dataclass(frozen=True, eq=False)
class Checked:
    """The outcome of the controls, and some examples to look at."""

    explained: Explained
    warnings: tuple[str, ...] = ()
    examples: tuple[Example, ...] = field(default=())

    def with_scores(self, perturbed: Perturbed) -> Checked:
        """Return the same with scores that need no lesion."""
        return replace(self, explained=msgspec.structs.replace(self.explained, perturbed=perturbed))

    def added_to(self, evaluation: Evaluation) -> Evaluation:
        """Return the evaluation with this in it."""
        warnings = (*evaluation.warnings, *self.warnings)
        return msgspec.structs.replace(evaluation, explained=self.explained, warnings=warnings)


def check_explanations(
    session: Session,
    rows: Dataset,
    count: int = ROWS,
    *,
    method: Method = METHOD,
    seed: int = 0,
    resamples: int = 1000,
    progress: Progress | None = None,
) -> Checked:
    """Plant lesions into `count` of the rows, and see whether the maps by `method` point at them, against controls.

    A lesion is planted into the source's own pixels, so that the whole way back to them is checked too. It counts
    where it triples the odds of a label that the model did not answer: that label is explained, since all that was
    changed is the lesion. Controls: a random place of the body, the middle of the image, the map mirrored left to
    right (which beats a map that is laid over the wrong side), and the same network with the values of each weight
    shuffled (Adebayo et al. 2018), whose map must also differ. Raises `CallError` for a
    model that cannot be explained, or that does not classify.

    Rows whose reference mask shows a finding are no ground, unless all rows have one: beside it another lesion moves
    the odds of what the model has ruled out, if any, and no map of that needs to point at it.
    """
    shuffled = shuffled_session(session, seed)
    order = np.random.default_rng(seed).permutation(len(rows))
    free = islice((row for row in order.tolist() if not _shows_a_finding(rows.cases[row])), count)  # masks are files
    chosen = list(free) or order.tolist()[:count]
    found: list[Example] = []
    places: list[int] = []
    for done, row in enumerate(chosen, start=1):
        case = replace(rows.cases[row], mask=None)  # which an answer does not need, and every version would read
        example = _example(session, shuffled, case, method, [seed, row])
        if example is not None:
            found.append(example)
            places.append(row)
        if progress is not None:
            progress(done, len(chosen))
    patients = clusters_of(rows, np.array(places, dtype=np.intp))
    measured = np.array([_measures(example) for example in found]).reshape(len(found), 2 + len(CONTROLS))
    figures = _figures(measured, patients, resamples, seed) if len(found) >= _LEAST else ()
    explained = Explained(method=method, rows=len(chosen), planted=len(found), figures=figures)
    return Checked(explained, _warnings(explained), tuple(found[:_EXAMPLES]))


def centred_blob(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a map that is brightest in the middle."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    blob: NDArray[np.float32] = np.exp(-4 * sum(axis**2 for axis in axes)).astype(np.float32)
    return blob


def shuffled_session(session: Session, seed: int) -> Session:
    """Return a session that asks the same model with shuffled weights."""
    return Session(replace(session.loaded, network=shuffled_weights(session.network, seed)), str(session.device))


def shuffled_weights(network: nn.Module, seed: int) -> nn.Module:
    """Return a copy of a network in which the values of each weight of 2 or more axes lie in another order."""
    import torch

    made = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.dim() >= 2:
                order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
                weight.copy_(weight.flatten()[order].view_as(weight))
    return made


def planted_case(
    case: Case, generator: np.random.Generator, lesions: Lesions
) -> tuple[Case, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a case with a lesion in its first image's stored pixels, the lesion's mask, and where the body is.

    The lesion is bright as displayed, on the scale of the image's own 1st to 99th percentile. Raises `SourceError`.
    """
    image = case.image
    stored = image.read()
    grey = stored.astype(np.float32).mean(axis=0)
    low, high = np.percentile(grey, [1, 99])
    scale = max(float(high - low), 1e-6) * (-1 if _darker_is_brighter(image) else 1)
    unit = (grey - (low if scale > 0 else high)) / scale
    inside = body(unit)
    made, mask = plant(unit, generator, lesions, inside)
    pixels = stored + (made - unit) * scale
    if image.stored_range is not None:
        pixels = np.clip(np.rint(pixels), *image.stored_range)
    planted = pixels.astype(stored.dtype)
    images = {**case.images, next(iter(case.images)): replace(image, read=lambda: planted)}
    return replace(case, images=images), mask, inside


def points_into(map: NDArray[np.float32], mask: NDArray[np.bool_]) -> bool:
    """Return whether a map is highest within the mask (the pointing game, Zhang et al. 2018); an empty map is not."""
    return bool(map.max() > 0 and mask.flat[int(map.argmax())])


def rank_correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return Spearman's rank correlation of two maps of one shape; 0 where one of them is even."""
    step = tuple(slice(None, None, max(1, n // _SIDE)) for n in first.shape)
    own, other = (midranks(one[step].ravel()) for one in (first, second))
    if own.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(own, other)[0, 1])


def _example(session: Session, shuffled: Session, case: Case, method: Method, seed: list[int]) -> Example | None:
    """The faintest of some lesions that moves the answer to a row, with its maps; None where none does."""
    [before] = [answer.result for answer in session.answer([case])]
    if not isinstance(before.prediction, Classification):
        if before.answered:
            raise CallError(f"{session.loaded.model.name} does not classify: there is no answer to move")
        return None
    tried = []
    try:
        for contrast in LADDER:
            for place in range(_PLACES):
                lesions = Lesions(radius=_RADIUS, contrast=(contrast, contrast))
                tried.append(planted_case(case, np.random.default_rng([*seed, place]), lesions))
    except (SourceError, PreprocessingError):
        return None
    after = [answer.result for answer in session.answer([planted for planted, _, _ in tried])]
    for (planted, mask, inside), result in zip(tried, after, strict=True):
        label = _moved(before.prediction, result)
        if label is None:
            continue
        own, other = (one.explain(planted, label, method=method).explanation for one in (session, shuffled))
        if own is None or other is None:
            return None
        return Example(planted, label, mask, inside, own.map, other.map)
    return None


def _shows_a_finding(case: Case) -> bool:
    """Whether a case's reference mask marks a place; one that cannot be read may."""
    if case.mask is None:
        return False
    try:
        return bool(case.mask.read().any())
    except SourceError:
        return True


def _moved(before: Classification, after: Result) -> str | None:
    """The label whose odds a lesion raised most, if they tripled and it was not the answer before."""
    if not isinstance(after.prediction, Classification):
        return None
    rises = {
        label: _log_odds(after.prediction.probabilities[label]) - _log_odds(probability)
        for label, probability in before.probabilities.items()
        if probability < 0.5
    }
    label = max(rises, key=lambda label: rises[label], default=None)
    return label if label is not None and rises[label] >= RISE else None


def _log_odds(probability: float) -> float:
    kept = min(max(probability, 1e-9), 1 - 1e-9)
    return float(np.log(kept / (1 - kept)))


def _darker_is_brighter(image: Image) -> bool:
    """Whether a lower stored value is displayed brighter."""
    return image.values.inverted != (image.values.rescale[0] < 0)


def _measures(example: Example) -> tuple[float, ...]:
    """Hit of the map; of each control; and the rank correlation with the map of shuffled weights."""
    mask, inside = example.mask, example.inside
    among = inside if inside.any() else np.ones_like(inside)
    return (
        example.hit,
        float((mask & among).sum() / among.sum()),
        bool(mask[tuple(n // 2 for n in mask.shape)]),
        points_into(np.ascontiguousarray(example.map[..., ::-1]), mask),
        points_into(example.shuffled, mask),
        rank_correlation(example.map, example.shuffled),
    )


def _figures(measured: Floats, patients: NDArray[np.int64], resamples: int, seed: int) -> tuple[Figure, ...]:
    own, *controls, alike = measured.T

    def statistics(weights: Floats) -> dict[tuple[str, str | None], Floats]:
        found: dict[tuple[str, str | None], Floats] = {("pointing hit", None): mean(own, weights)}
        found |= {("pointing hit", name): mean(one, weights) for name, one in zip(CONTROLS, controls, strict=True)}
        found |= {("hit above control", name): mean(own - one, weights) for name, one in zip(CONTROLS, controls)}
        return found | {("rank correlation", CONTROLS[-1]): mean(alike, weights)}

    found = estimate(statistics, patients, resamples, seed)
    units, ends = len(np.unique(patients)), of_share(own, patients)
    for (name, label), one in list(found.items()):
        if name == "pointing hit" and label != CONTROLS[0]:  # which is no share of rows but known of each
            found[name, label] = reaching(
                one, of_share(own if label is None else controls[CONTROLS.index(label)], patients)
            )
        elif name == "hit above control":
            found[name, label] = of_same(one, units, -1, 1)
            if label == CONTROLS[0] and ends is not None:
                by_luck = found["pointing hit", label].value
                found[name, label] = reaching(one, (ends[0] - by_luck, ends[1] - by_luck))
    return tuple(
        Figure(name=name, label=label, value=one.value, low=one.low, high=one.high)
        for (name, label), one in found.items()
    )


def _warnings(explained: Explained) -> tuple[str, ...]:
    """What must stand in red: a control that is not beaten, or maps that do not depend on what was learnt."""
    if not explained.figures:
        return ()
    found = []
    hit = explained.figure("pointing hit").value
    for control in CONTROLS:
        above = explained.figure("hit above control", control)
        if above.low is None or above.low <= 0:
            rate = explained.figure("pointing hit", control).value
            found.append(
                f"maps by {explained.method} point at planted lesions {100 * hit:.0f} % of the time, which is "
                f"not surely more than {control} ({100 * rate:.0f} %): do not take them for where the model looked"
            )
    alike = explained.figure("rank correlation", CONTROLS[-1]).value
    if alike >= _ALIKE:
        found.append(
            f"maps by {explained.method} hardly change when the weights are shuffled (rank correlation {alike:.2f}): "
            "they show the image, not what the model learnt"
        )
    return tuple(found)
