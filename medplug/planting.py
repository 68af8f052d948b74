"""Labelled volumes out of real series: cubes cut from them, half with a planted lesion, apart in space by split."""

from __future__ import annotations

import csv
import importlib.util
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import sources
from .case import Case, Unit
from .errors import CallError, PreprocessingError, SourceError
from .lesions import Lesions, body, plant
from .pipeline import Pipeline
from .preprocessing import Preprocessing, Spacing, Stored

SPLITS = {"train": 0.60, "val": 0.15, "test": 0.25}
"""The shares of the blocks and of the volumes; many test blocks make honest intervals."""

LABELS = ("clear", "lesion")
COLUMNS = ("file", "label", "mask", "patient", "split", "series")
LESIONS = Lesions(radius=(0.14, 0.22), contrast=(0.8, 1.2))
_GAP = 2  # voxels between blocks, so that interpolation shares no stored voxel either
_ROOMY = 1.5  # how many cubes' sides a block is long, at least
_BODY = 0.6  # the share of a cube that lies in the body
_TRIES = 40  # places tried in a block before it is given up
_TURNED = ("CT", "MR", "PT")  # their slices may be turned: a cube of them has no upright

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Planted:
    """What was written: the manifest, the images of each split and the groups that they are of, and what was left out.

    A group is a block of a series where the images are volumes cut from it, and otherwise a patient.
    """

    manifest: Path
    images: dict[str, int]
    groups: dict[str, int]
    notes: tuple[str, ...] = ()


def plant_set(
    source: sources.AnySource,
    output: str | Path,
    *,
    count: int = 400,
    size: int = 24,
    spacing: float | None = None,
    lesions: Lesions = LESIONS,
    seed: int = 0,
    tilt: sources.Tilt = "refuse",
    progress: Progress | None = None,
) -> Planted:
    """Cut `count` cubes of `size` voxels out of the series of `source`, plant a lesion into half, and write them.

    Each series is brought to even voxels of `spacing` mm (default: its coarsest axis) and parted into blocks; a block
    belongs to one split, so no voxel is in two, and is what `patient` names in `manifest.csv`. Cubes lie anywhere in a
    block where there is body; those of CT, MR and PET are turned and mirrored within the slice, and their affine with
    them. `lesions` are on the scale of the cube's own 5th to 95th percentile. NIfTI. The folder appears whole or not.
    Raises `CallError`.
    """
    if importlib.util.find_spec("nibabel") is None:
        raise CallError("volumes are written with nibabel: pip install 'medplug[nifti]'")
    if size < 8 or count < 12:
        raise CallError(f"{count} volumes of {size} voxels: want at least 12 volumes of 8")
    output = Path(output)
    refuse_full(output)
    found, notes = _series(source, size, spacing, tilt)
    if not found:
        more = (f"and {len(notes) - 3} more",) if len(notes) > 3 else ()
        why = "; ".join((*notes[:3], *more)) or "the source is empty"
        raise CallError(f"there is no series to cut volumes out of: {why}; images take --dims 2 (`plant_images`)")
    generator = np.random.default_rng(seed)
    blocks: dict[str, list[_Block]] = {split: [] for split in SPLITS}
    for series in found:
        for split, block in _shared_out(list(_blocks(series, size, generator)), generator):
            blocks[split].append(block)
    for split, some in blocks.items():
        if not some:
            sizes = ", ".join(" x ".join(map(str, series.unit.shape)) for series in found)
            reasons = "".join(f"; {note}" for note in notes)
            raise CallError(
                f"no place for a {split} block of {size} voxels beside the others in {sizes}: "
                f"want larger series or smaller volumes{reasons}"
            )
    with appearing(output) as folder:
        volumes = _write(blocks, folder, count, size, lesions, generator, progress)
    return Planted(output / "manifest.csv", volumes, {split: len(some) for split, some in blocks.items()}, notes)


def refuse_full(output: Path) -> None:
    """Raise `CallError` where the folder `output` holds something already."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise CallError(f"{output} is not empty; name another folder")


@contextmanager
def appearing(output: Path) -> Iterator[Path]:
    """Yield a folder to write into, which becomes `output` at the end: it appears whole or not."""
    whole = output.with_name(f".{output.name}.partial")
    shutil.rmtree(whole, ignore_errors=True)
    try:
        yield whole
        if output.is_dir():
            output.rmdir()
        whole.rename(output)
    finally:
        shutil.rmtree(whole, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class _Series:
    """A series on even voxels: `unit` [Z, H, W] in modality units, where its body is, and index to LPS mm [4, 4]."""

    name: str
    unit: NDArray[np.float32]
    inside: NDArray[np.bool_]
    to_patient: NDArray[np.float64]
    modality: str | None


@dataclass(frozen=True, eq=False)
class _Block:
    """A part of a series, from `low` to below `high` by axis; `place` is where one cube with body begins."""

    series: _Series
    name: str
    low: tuple[int, ...]
    high: tuple[int, ...]
    place: tuple[int, ...] | None = None

    def cube(self, size: int, generator: np.random.Generator) -> tuple[int, ...] | None:
        """Draw the first voxel of a cube with enough body in it; `place` where the draws find none."""
        for _ in range(_TRIES):
            start = tuple(int(generator.integers(low, high - size + 1)) for low, high in zip(self.low, self.high))
            if self.series.inside[_box(start, size)].mean() >= _BODY:
                return start
        return self.place


def _series(
    source: sources.AnySource, size: int, spacing: float | None, tilt: sources.Tilt
) -> tuple[list[_Series], tuple[str, ...]]:
    found: list[_Series] = []
    notes: list[str] = []
    for case in sources.read(source, Unit.SERIES, tilt=tilt):
        if not isinstance(case, Case):
            notes.append(case.outcome.reason)
            continue
        name, image = case.reference.source, case.image
        if len(image.shape) != 3 or image.channels != 1 or image.spacing is None:
            notes.append(f"{name}: is no grey volume with a spacing")
            continue
        try:
            made = _even(case, f"series-{len(found) + 1}", spacing or max(image.spacing))
        except (SourceError, PreprocessingError) as error:
            notes.append(str(error))
            continue
        if min(made.unit.shape) < size:
            notes.append(f"{name}: is {' x '.join(map(str, made.unit.shape))} voxels, less than {size}")
            continue
        found.append(made)
    return found, tuple(notes)


def _even(case: Case, name: str, spacing: float) -> _Series:
    even = Preprocessing(values=Stored(), geometry=(Spacing((spacing,) * 3),))
    prepared = Pipeline(even).prepare(case)
    unit = prepared.arrays["image"][0]
    to_patient = prepared.grid.to_patient
    if to_patient is None:
        to_patient = np.diag([*(prepared.grid.spacing or (spacing,) * 3), 1.0])[[2, 1, 0, 3]]
    low, high = np.percentile(unit, [1, 99])
    return _Series(name, unit, body(np.clip(unit, low, high)), to_patient, case.image.modality)


def _blocks(series: _Series, size: int, generator: np.random.Generator) -> Iterator[_Block]:
    """Part the box around the body evenly; what has no place for a cube is left out."""
    ends = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        some = np.flatnonzero(series.inside.any(axis=others))
        low, high = (int(some[0]), int(some[-1]) + 1) if len(some) else (0, 0)
        if high - low < size:  # a flat body: take what there is around it
            low, high = max(0, min(low, series.unit.shape[axis] - size)), max(high, min(low, 0) + size)
            high = min(max(high, low + size), series.unit.shape[axis])
        many = max(1, int((high - low + _GAP) / (_ROOMY * size + _GAP)))
        edges = np.linspace(low, high + _GAP, many + 1).round().astype(int)
        ends.append([(int(start), int(stop) - _GAP) for start, stop in pairwise(edges)])
    for number, box in enumerate(product(*ends), start=1):
        block = _Block(series, f"{series.name}/block-{number}", *zip(*box))
        place = block.cube(size, generator)
        if place is not None:
            yield replace(block, place=place)


def _shared_out(blocks: Sequence[_Block], generator: np.random.Generator) -> Iterator[tuple[str, _Block]]:
    """Give each block of a series its split; a series of one or two blocks trains."""
    order = generator.permutation(len(blocks))
    if len(blocks) < 3:
        counts = {"train": len(blocks), "val": 0, "test": 0}
    else:
        counts = {split: max(1, round(share * len(blocks))) for split, share in SPLITS.items()}
        counts["train"] = len(blocks) - counts["val"] - counts["test"]
    splits = [split for split, number in counts.items() for _ in range(number)]
    for place, split in zip(order, splits, strict=True):
        yield split, blocks[place]


def _write(
    blocks: dict[str, list[_Block]],
    folder: Path,
    count: int,
    size: int,
    lesions: Lesions,
    generator: np.random.Generator,
    progress: Progress | None,
) -> dict[str, int]:
    (folder / "volumes").mkdir(parents=True)
    (folder / "masks").mkdir()
    volumes = {split: max(4, round(share * count)) for split, share in SPLITS.items()}
    total, written = sum(volumes.values()), 0
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        for split, some in blocks.items():
            for index in range(volumes[split]):
                block = some[index // 2 % len(some)]  # each block gives as many with a lesion as without
                row = _one(block, index % 2 == 1, folder, f"{written:05}.nii", size, lesions, generator)
                table.writerow({**row, "split": split})
                written += 1
                if progress is not None:
                    progress(written, total)
    return volumes


def _one(
    block: _Block, diseased: bool, folder: Path, name: str, size: int, lesions: Lesions, generator: np.random.Generator
) -> dict[str, str]:
    """Cut one volume, and plant a lesion where it is to have one; write it and its mask."""
    start = block.cube(size, generator)
    assert start is not None  # every block has a place
    cube = block.series.unit[_box(start, size)]
    to_patient = block.series.to_patient @ _moved(start)
    mask = np.zeros(cube.shape, bool)
    if diseased:
        low, high = np.percentile(cube, [5, 95])
        scale = max(float(high - low), 1e-6)
        inside = block.series.inside[_box(start, size)]
        planted, mask = plant((cube - low) / scale, generator, lesions, inside)
        cube = planted * scale + low
    if block.series.modality in _TURNED:
        cube, mask, to_patient = _turned(cube, mask, to_patient, generator)
    _save(folder / "volumes" / name, cube, to_patient)
    if diseased:
        _save(folder / "masks" / name, mask.astype(np.uint8), to_patient)
    return {
        "file": f"volumes/{name}",
        "label": LABELS[diseased],
        "mask": f"masks/{name}" if diseased else "",
        "patient": block.name,
        "series": block.series.name,
    }


def _box(start: Sequence[int], size: int) -> tuple[slice, ...]:
    return tuple(slice(one, one + size) for one in start)


def _moved(start: Sequence[int]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = start
    return matrix


def _turned(
    cube: NDArray[Any], mask: NDArray[Any], to_patient: NDArray[np.float64], generator: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Swap and mirror rows and columns at random; every voxel keeps its place in the patient."""
    swap, *mirror = generator.random(3) < 0.5
    old_from_new = np.eye(4)
    if swap:
        cube, mask = cube.swapaxes(1, 2), mask.swapaxes(1, 2)
        old_from_new = old_from_new[[0, 2, 1, 3]]
    for axis, flipped in zip((1, 2), mirror):
        if flipped:
            cube, mask = np.flip(cube, axis), np.flip(mask, axis)
            flip = np.eye(4)
            flip[axis, axis], flip[axis, 3] = -1, cube.shape[axis] - 1
            old_from_new = old_from_new @ flip
    return cube, mask, to_patient @ old_from_new


def _save(path: Path, array: NDArray[Any], to_patient: NDArray[np.float64]) -> None:
    """Write [Z, H, W] as NIfTI: axes (i, j, k) are (column, row, slice), and LPS becomes RAS."""
    import nibabel

    made: Any = nibabel.Nifti1Image  # untyped
    if array.dtype.kind == "f":
        low, high = np.iinfo(np.int16).min, np.iinfo(np.int16).max
        whole = array.min() >= low and array.max() <= high and array.max() - array.min() >= 64
        array = np.rint(array).astype(np.int16) if whole else array.astype(np.float32)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ to_patient[:, [2, 1, 0, 3]]
    image = made(np.ascontiguousarray(array.T), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
