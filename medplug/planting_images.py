"""Labelled images out of real ones: a lesion is planted into half of those that are chosen; splits are by patient."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import sources
from .case import Case, Image, Unit
from .dataset import splits
from .errors import CallError, PreprocessingError, SourceError
from .lesions import Lesions, body, plant
from .pipeline import Pipeline
from .planting import LABELS, Planted, Progress, appearing, refuse_full
from .preprocessing import Display, Percentiles, Preprocessing, Resize

LESIONS = Lesions(radius=(0.10, 0.18), contrast=(0.25, 0.60))
"""What is planted into images: from faint to plain beside a whole body, whose range is wide."""

COLUMNS = ("file", "label", "mask", "patient", "split")
_DEPTH = 2**16 - 1  # of the pictures that are written
_SMALLEST = 16  # pixels along the shortest side, below which a lesion is no disc
_TINT = 0.05  # how far channels may differ, of their range, in an image that is grey all the same
_SHOWN = 0.5  # the part of the faintest contrast that must be left of a lesion in the image's range
_VISIBLE = 1 / 255  # of the range from black to white
_LEAST = 2  # images of each split, so that both labels are there


def plant_images(
    source: sources.AnySource,
    output: str | Path,
    *,
    count: int | None = None,
    size: int | None = None,
    lesions: Lesions = LESIONS,
    select: Mapping[str, str] = {},  # never changed
    patient: str | None = None,
    split: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Planted:
    """Plant a lesion into half of the 2-D images of `source`, and write all of them, masks and `manifest.csv`.

    `source` is a table, or files and folders. `select` says what columns of a table must hold, so that the ground is
    free of what a model could take for a lesion; `patient` and `split` name its columns (default: PatientID; `split`
    where there is one). A split that is missing is made by patient. `count` draws that many at random (default: all).

    An image is written as it is displayed, as 16-bit PNG on its own grid, or with a longest side of `size` pixels.
    `lesions` are on the scale of the image's own 5th to 95th percentile. Patients are numbered: the manifest names
    none. The same seed makes the same bytes. The folder appears whole or not. Raises `CallError`, and `TrainingError`
    for a patient in two splits.
    """
    if size is not None and size < _SMALLEST:
        raise CallError(f"images of {size} pixels: want at least {_SMALLEST}")
    if count is not None and count < _LEAST:
        raise CallError(f"{count} images: want at least {_LEAST} of each split")
    output = Path(output)
    refuse_full(output)
    generator = np.random.default_rng(seed)
    notes: list[str] = []
    ground = _ground(source, dict(select), patient, split, size, seed, notes)
    names = [name for name in splits.SHARES if any(one.split == name for one in ground)]
    if count is not None and count < len(ground):
        ground = [ground[place] for place in sorted(generator.permutation(len(ground))[:count])]
    many = Counter(one.split for one in ground)
    if few := [name for name in names if many[name] < _LEAST]:
        found = ", ".join(f"{many[name]} {name}" for name in few)
        raise CallError(f"images to plant into: {found}; want at least {_LEAST} of each split")
    diseased = _halves(ground, generator)
    with appearing(output) as folder:
        told = len(notes)
        made = _write(ground, diseased, folder, size, lesions, seed, notes, progress)
        for name in names:
            labels = Counter(ill for one, ill in made if one.split == name)
            if len(labels) < len(LABELS):
                have = " and ".join(f"{labels[ill]} {LABELS[ill]}" for ill in (False, True))
                why = "; ".join(notes[told : told + 3])
                raise CallError(f"of {many[name]} {name} images {have} can be made; want some of both: {why}")
    if missing := [name for name in splits.SHARES if name not in names]:
        notes.append(f"there is no {' and no '.join(missing)} row: want a split column with it, or more patients")
    written = [one for one, _ in made]
    return Planted(
        manifest=output / "manifest.csv",
        images={name: sum(one.split == name for one in written) for name in names},
        groups={name: len({one.patient for one in written if one.split == name}) for name in names},
        notes=tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class _Ground:
    """An image to plant into, its split, and the number of its patient."""

    case: Case
    split: str
    patient: str


def _ground(
    source: sources.AnySource,
    select: dict[str, str],
    patient: str | None,
    split: str | None,
    size: int | None,
    seed: int,
    notes: list[str],
) -> list[_Ground]:
    """The chosen images, each with a split and a patient; what cannot be used is noted."""
    cases: list[Case] = []
    held: Counter[str] = Counter()
    options = sources.TableOptions(labels=tuple(select), patient=patient, split=split)
    for found in sources.read(source, Unit.INSTANCE, options=options):
        if not isinstance(found, Case):
            notes.append(found.outcome.reason)
            continue
        if missing := [
            column for column in (*select, patient, split) if column is not None and column not in found.row
        ]:
            raise CallError(f"{found.reference.source} is in no table with a column {missing[0]!r}: name a CSV")
        held.update(found.row[column].strip() for column in select)
        if any(found.row[column].strip() != value for column, value in select.items()):
            continue
        why = _unfit(found.image, size)
        if why is None:
            cases.append(found)
        else:
            notes.append(f"{found.reference.source}: {why}")
    if not cases:
        wanted = " and ".join(f"{column}={value}" for column, value in select.items())
        have = f" with {wanted}; there are {', '.join(sorted(held)[:20]) or 'no rows'}" if select else ""
        raise CallError("; ".join([f"there is no image to plant into{have}", *notes[:3]]))
    patients = [case.patient or f"image {number}" for number, case in enumerate(cases)]
    if not any(case.patient for case in cases):
        notes.append("no patients are known: each image is taken for a patient of its own")
    said = split or ("split" if all("split" in case.row for case in cases) else None)
    if said is None:
        made = splits.make([""] * len(cases), patients, seed)
        notes.append(f"no split column: 70/15/15 % were made by patient from seed {seed}")
    else:
        made = splits.parse([case.row[said] for case in cases], said)
        splits.refuse_spanning(made, np.array(patients), [case.reference.source for case in cases])
    numbers = {name: f"patient-{number:05}" for number, name in enumerate(dict.fromkeys(patients), start=1)}
    return [_Ground(case, str(one), numbers[name]) for case, one, name in zip(cases, made, patients)]


def _unfit(image: Image, size: int | None) -> str | None:
    """Why a lesion cannot be planted into an image, as far as its header says."""
    if len(image.shape) != 2:
        return f"has {len(image.shape)} dimensions; images have 2: volumes take `plant_set`, --dims 3"
    rows, columns = _sides(image, size)
    if min(rows, columns) < _SMALLEST:
        scaled = "" if size is None else f" when its longest side has {size}"
        return f"is {rows} x {columns} pixels{scaled}, and a lesion needs {_SMALLEST}"
    return None if image.channels in (1, 3) else f"has {image.channels} channels, and lesions are grey"


def _sides(image: Image, size: int | None) -> tuple[int, ...]:
    """Rows and columns of what is written: the image's own, or scaled to a longest side of `size`."""
    return image.shape if size is None else tuple(round(side * size / max(image.shape)) for side in image.shape)


def _halves(ground: list[_Ground], generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which images get a lesion: half of each split."""
    diseased = np.zeros(len(ground), bool)
    for name in splits.SHARES:
        places = np.flatnonzero([one.split == name for one in ground])
        diseased[generator.permutation(places)[: len(places) // 2]] = True
    return diseased


def _write(
    ground: list[_Ground],
    diseased: NDArray[np.bool_],
    folder: Path,
    size: int | None,
    lesions: Lesions,
    seed: int,
    notes: list[str],
    progress: Progress | None,
) -> list[tuple[_Ground, bool]]:
    """Write the images; return those that could be planted into, and whether each has a lesion."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    written: list[tuple[_Ground, bool]] = []
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        for index, (one, ill) in enumerate(zip(ground, diseased.tolist())):
            name = f"{index:05}.png"
            try:
                shown = _displayed(one.case, size)
                # Each image has draws of its own, whatever became of those before it. One that shows no
                # lesion is left out even where it is to have none: what an image is like must not tell its label.
                planted, mask = _planted(
                    shown, np.random.default_rng([seed, index]), lesions, one.case.reference.source
                )
            except (SourceError, PreprocessingError) as error:
                notes.append(str(error))
                continue
            if ill:
                shown = planted
                _save(folder / "masks" / name, mask.astype(np.uint8))
            _save(folder / "images" / name, np.rint(np.clip(shown, 0, 1) * _DEPTH).astype(np.uint16))
            mask_file = f"masks/{name}" if ill else ""
            table.writerow(dict(zip(COLUMNS, (f"images/{name}", LABELS[ill], mask_file, one.patient, one.split))))
            written.append((one, ill))
            if progress is not None:
                progress(index + 1, len(ground))
    return written


def _displayed(case: Case, size: int | None) -> NDArray[np.float32]:
    """[H, W], 0 to 1: what is seen on a screen. Raises `SourceError` for an image that is in colour, or even."""
    image, name = case.image, case.reference.source
    if image.channels == 3:
        stored = image.read().astype(np.float32)
        spread = float(np.percentile(stored.max(axis=0) - stored.min(axis=0), 99))
        if spread > _TINT * float(np.iinfo(image.dtype).max if image.dtype.kind in "iu" else stored.max()):
            raise SourceError("channels", f"{name}: is in colour, and lesions are grey")
    seen = Preprocessing(
        values=Display(fallback=Percentiles(0.5, 99.5)),
        channels="grey" if image.channels == 3 else "stored",
        geometry=() if size is None else (Resize(_sides(image, size)),),
    )
    shown: NDArray[np.float32] = Pipeline(seen).prepare(case).arrays["image"][0]
    if shown.max() - shown.min() <= 0:
        raise SourceError("values", f"{name}: is one even grey: there is no body to plant into")
    return shown


def _planted(
    shown: NDArray[np.float32], generator: np.random.Generator, lesions: Lesions, name: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """An image with a lesion, and its mask. Raises `SourceError` where the lesion does not show."""
    low, high = np.percentile(shown, [5, 95])
    scale = max(float(high - low), 1e-6)
    made, mask = plant((shown - low) / scale, generator, lesions, body(shown))
    planted = np.clip(made * scale + low, 0, 1)
    faintest, plainest = lesions.contrast
    least = 0.0 if faintest <= 0 <= plainest else min(abs(faintest), abs(plainest))
    wanted = max(_SHOWN * least * scale, _VISIBLE) if least else 0.0
    if np.abs(planted - shown).max(where=mask, initial=0) < wanted:
        raise SourceError("values", f"{name}: shows no lesion: it is nearly even, or as bright or dark as can be")
    return planted, mask


def _save(path: Path, pixels: NDArray[Any]) -> None:
    """Write [H, W] of uint8 or uint16 as PNG."""
    from PIL import Image as Picture

    Picture.fromarray(pixels).save(path, format="PNG", compress_level=1)
