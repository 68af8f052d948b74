"""How good generated images are: how like real ones, how varied, how far from copies, and what they can teach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from ..errors import CallError
from ..figures import Figure, Neighbour
from ..session import Session
from . import compared_images, frechet, learned_from_samples, manifold, scores
from .answered import Progress
from .bootstrap import Estimate, Floats, estimate
from .compared_images import UNKNOWN, Images
from .feature_spaces import Features, spaces
from .intervals import of_share, reaching
from .nearest_training import Nearness, nearness
from .neighbours import neighbours

MOST = 5000
"""Images of each kind at most, unless more are asked for."""

DISTANCE, RATIO, PRECISION, RECALL = "Frechet distance", "Frechet ratio", "precision", "recall"
"""By feature space (the label) of the generated images, and with ", PCA generator" or ", other real images" behind."""
PCA, REAL = "PCA generator", "other real images"
COVERED = 0.05
"""A generator whose recall lies below this in every feature space is warned of."""

COPIES, REAL_COPIES = "near copies of training images", f"near copies, {REAL}"
AUC, PCA_AUC, REAL_AUC = (
    f"AUC of a classifier of {whose}" for whose in ("generated images", "PCA images", "real images")
)
GAIN = f"accuracy gained at {learned_from_samples.LABELLED} labels"

WITHIN = "Frechet ratio within the train rows"
"""The distance from one half of what the generator learned from, over that of the other half."""

_DRAWS = 4  # sets of one size, whose distances are averaged


@dataclass(frozen=True, eq=False)
class GeneratorFigures:
    """The figures of a generator, how many real rows it was compared with, and how many of them it refuses."""

    figures: tuple[Figure, ...]
    neighbours: tuple[Neighbour, ...]
    rows: int
    refused: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Compared:
    """Real rows of the split, those that the generator learned from, and others against which it is held."""

    real: Images
    learned: Images
    other: Images
    made: Images
    pca: Images

    @property
    def size(self) -> int:
        """How many of each kind are compared: distances and shares depend on it."""
        return min(len(self.real), len(self.other), len(self.made), len(self.pca))


def generator_figures(
    generator: Session,
    classifier: Session,
    dataset: Dataset,
    split: str,
    samples: int | None,
    seed: int,
    resamples: int,
    progress: Progress | None = None,
) -> GeneratorFigures:
    """Compare `samples` generated images, and as many of a PCA generator, with the rows of `split`.

    Frechet distances (Heusel et al. 2017) and their ratios to that of real images, precision and recall, in each of
    `feature_spaces`; how many are near copies of train rows; and what a small classifier learns from them alone.
    All of them lie on the generator's own grid, in 8 bits.
    """
    real = compared_images.real(generator, dataset.of(split), MOST, seed)
    if len(real) <= manifold.NEIGHBOURS:
        raise CallError(f"a Fréchet distance wants at least 4 {split} rows, and there are {len(real)}")
    learned = real if split == "train" else compared_images.real(generator, dataset.of("train"), MOST, seed)
    notes = []
    if split == "train" or len(learned) <= manifold.NEIGHBOURS:
        half = np.arange(len(real)) % 2 == 0
        learned, other, real = real, real.take(np.flatnonzero(~half)), real.take(np.flatnonzero(half))
        notes.append(f"the other real images are one half of the {split} rows, compared with the other half")
    else:
        other = learned
        notes.append(
            f"the other real images are train rows: a shift from train to {split} is no fault of the generator"
        )
    count = samples if samples is not None else min(max(len(real), len(learned)), MOST)
    if count < 2:
        raise CallError(f"a Fréchet distance of {count} generated images: want at least 2")
    found = spaces(classifier, learned.pixels)
    made, withheld = compared_images.generated(generator, count, seed, progress)
    compared = _Compared(real, learned, other, made, compared_images.gaussian(learned, count, seed))
    notes.insert(0, f"{len(made)} generated images against {len(real)} {split} rows, on the generator's own grid")
    notes.append(f"sets of {compared.size} images are compared; a ratio is a distance over that of other real images")
    if withheld or made.refused:
        notes.append(f"{withheld} near copies were withheld, and {made.refused} images could not be made without one")
    figures = []
    for name, space in found.items():
        rows = {whose: space(images.pixels) for whose, images in _sets(compared).items()}
        figures += list(_likeness(name, rows, compared.size, resamples, seed))
        features = rows[""].shape[1]
        if compared.size <= features:
            notes.append(
                f"fewer images than the {features} features of {name}: distances are too large by a common amount, "
                "so compare them with each other only"
            )
    trained = len(dataset.of("train"))
    if split != "train" and trained > len(learned) == MOST:
        notes.append(
            f"near copies are looked for among {MOST} of the {trained} train rows: of the others none is found"
        )
    near = nearness(made, learned, real, other)
    figures += list(_copies(near, real, resamples, seed))
    learnt, said = _learnt(generator, compared, resamples, seed)
    notes.append(f"the median real image lies {near.typical:.3f} (RMS of 0 to 1) from the nearest training image")
    notes += [*said, "no intervals of distances: to draw rows twice makes a Fréchet distance larger, not uncertain"]
    return GeneratorFigures(
        figures=(*learnt, *figures),
        neighbours=neighbours(near, made, learned),
        rows=len(real),
        refused=real.refused,
        notes=tuple(notes),
    )


def _sets(compared: _Compared) -> Mapping[str, Images]:
    """The images by whose they are: "" for the generated, "real" for the rows of the split."""
    wanted = {"": compared.made, PCA: compared.pca, REAL: compared.other}
    most = _DRAWS * compared.size
    few = {whose: images.take(np.arange(min(len(images), most))) for whose, images in wanted.items()}
    return {"real": compared.real, "learned": compared.learned, **few}


def _likeness(space: str, rows: Mapping[str, Features], size: int, resamples: int, seed: int) -> Iterator[Figure]:
    """Distances, ratios, precision and recall in one space, by whose images are compared with the real ones."""
    real = rows["real"][:size]
    reference = frechet.fit(real)
    apart = {
        whose: float(np.mean([frechet.distance(frechet.fit(part), reference) for part in _parts(features, size)]))
        for whose, features in rows.items()
        if whose not in ("real", "learned")
    }
    within = _within(rows)
    for whose, distance in apart.items():
        label = f"{space}, {whose}" if whose else space
        yield Figure(name=DISTANCE, label=label, value=distance)
        if apart[REAL] > 0:
            yield Figure(name=RATIO, label=label, value=distance / apart[REAL])
        if whose in within:
            yield Figure(name=WITHIN, label=label, value=within[whose])
        first = rows[whose][:size]
        if size > manifold.NEIGHBOURS:
            yield _share(PRECISION, manifold.inside(first, real), label, resamples, seed)
            yield _share(RECALL, manifold.inside(real, first), label, resamples, seed)


def generator_warnings(figures: Sequence[Figure]) -> tuple[str, ...]:
    """Return the warnings: where a PCA generator comes nearer to real images, and where hardly one is covered."""
    found = {(figure.name, figure.label): figure.value for figure in figures}
    spaces = [label for name, label in found if name == DISTANCE and label is not None and ", " not in label]
    farther = [
        f"{space} ({found[DISTANCE, space]:.3g}, and {beside:.3g} of the PCA generator)"
        for space in spaces
        if (beside := found.get((DISTANCE, f"{space}, {PCA}"))) is not None and found[DISTANCE, space] >= beside
    ]
    said = []
    if farther:
        said.append(
            "the generated images are no nearer to real ones than a Gaussian's of the pixels are, by the Frechet "
            f"distance in the features of {', '.join(farther)}"
        )
    recalls = [found.get((RECALL, space), 1.0) for space in spaces]
    if recalls and max(recalls) < COVERED:
        said.append(
            f"hardly a real image lies among the generated (recall {max(recalls):.3f} at most, in all features): "
            "the generator repeats a few images, or makes none that look real"
        )
    return tuple(said)


def _within(rows: Mapping[str, Features]) -> Mapping[str, float]:
    """Ratios to the halves of the learned rows, which no shift between splits makes easier; sets of one size."""
    learned = rows["learned"]
    size = min(len(learned) // 2, len(rows[""]), len(rows[PCA]))
    if size < 2:
        return {}
    one, other = frechet.fit(learned[:size]), frechet.fit(learned[size : 2 * size])
    apart = frechet.distance(other, one)
    found = {whose: frechet.distance(frechet.fit(rows[whose][:size]), one) for whose in ("", PCA)}
    return {whose: distance / apart for whose, distance in found.items()} if apart > 0 else {}


def _parts(features: Features, size: int) -> list[Features]:
    return [features[start : start + size] for start in range(0, len(features) - size + 1, size)][:_DRAWS]


def _share(
    name: str,
    hit: NDArray[np.bool_],
    label: str | None,
    resamples: int,
    seed: int,
    clusters: NDArray[np.int64] | None = None,
) -> Figure:
    """A share of images, with the interval of drawing them anew; none of 64 is not none at all, so it has a width."""
    clusters = np.arange(len(hit)) if clusters is None else clusters
    figure = _mean(name, hit.astype(np.float64), label, clusters, resamples, seed)
    widened = reaching(Estimate(figure.value, figure.low, figure.high), of_share(hit, clusters))
    return Figure(name=name, label=label, value=widened.value, low=widened.low, high=widened.high)


def _mean(
    name: str, values: Floats, label: str | None, clusters: NDArray[np.int64], resamples: int, seed: int
) -> Figure:
    [found] = estimate(lambda weights: {name: scores.mean(values, weights)}, clusters, resamples, seed).values()
    return Figure(name=name, label=label, value=found.value, low=found.low, high=found.high)


def _copies(near: Nearness, real: Images, resamples: int, seed: int) -> Iterator[Figure]:
    yield _share(COPIES, near.copies, None, resamples, seed)
    yield _share(REAL_COPIES, near.real_copies, None, resamples, seed, real.patients)


def _learnt(
    generator: Session, compared: _Compared, resamples: int, seed: int
) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """What a small classifier learns from each kind of images, asked about the rows of the split; and notes."""
    labels = len(generator.loaded.labels) if generator.loaded.labels.exclusive else 0
    real = compared.real.take(np.flatnonzero(compared.real.labels != UNKNOWN))
    sources = {AUC: compared.made, PCA_AUC: compared.pca, REAL_AUC: compared.learned}
    if compared.real.pixels.ndim != 4 or any(len(_told(one)) < 2 for one in (real, *sources.values())):
        return (), ("no classifier learns from the generated images: they, or the rows, are not of two labels or more",)
    figures = []
    for name, images in sources.items():
        stated = learned_from_samples.probabilities(images, real, labels, seed)
        [found] = estimate(_area_of(stated, real.labels), real.patients, resamples, seed).values()
        figures.append(Figure(name=name, value=found.value, low=found.low, high=found.high))
    notes = ["classifiers of images alone are all of one small kind and taught alike; they are no record"]
    if (compared.learned.labels != UNKNOWN).sum() >= 2 * learned_from_samples.LABELLED:
        gain = learned_from_samples.gained(compared.learned, compared.made, real, labels, seed)
        figure = _mean(GAIN, gain, None, real.patients, resamples, seed)
        figures.append(figure)
        if figure.low is None or figure.low <= 0:
            notes.append(f"no {GAIN}: its interval does not lie above 0")
        notes.append(f"{GAIN}: the generator itself knew the labels of all its training rows")
    return tuple(figures), tuple(notes)


def _told(images: Images) -> NDArray[np.int64]:
    labels: NDArray[np.int64] = np.unique(images.labels[images.labels != UNKNOWN])
    return labels


def _area_of(stated: Floats, truth: NDArray[np.int64]) -> Callable[[Floats], dict[str, Floats]]:
    """The area under the ROC curve under weights, the mean over labels against the rest."""

    def statistics(weights: Floats) -> dict[str, Floats]:
        areas = [scores.area(stated[:, label], truth == label, weights) for label in range(stated.shape[1])]
        return {"AUC": cast(Floats, np.nanmean(areas[1:] if len(areas) == 2 else areas, axis=0))}

    return statistics
