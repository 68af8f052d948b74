"""Arrays: in memory, `.npy`, and `.npz` in MedMNIST's layout. Never with pickle."""

from __future__ import annotations

import re
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..case import Case, CaseReference, Image, Pixels, ValueMeaning
from ..errors import CallError, SourceError
from ..modalities import check_modalities
from .refusal import reading

_DTYPES = ("uint8", "int8", "uint16", "int16", "float32")
_MAX_FILE_BYTES = 2**33  # of one array in a file: a few compressed bytes can claim any size
_IMAGES = re.compile(r"(train|val|test)_images")


def from_array(
    array: Pixels,
    *,
    dims: int | None = None,
    channels_first: bool = False,
    name: str = "array",
    spacing: Sequence[float] | None = None,
    modality: str | None = None,
    value_range: tuple[float, float] | None = None,
) -> Case:
    """A case from an array in memory: [rows, columns] or [slices, rows, columns], with channels last.

    Three axes are a volume, unless the last is 3 (colour) or `dims` is 2. Integers without sign are shown in full
    over their dtype's range, other values over `value_range` where it is given. Raises `CallError`.
    """
    check_modalities(() if modality is None else (modality,))
    try:
        image = _array_image(array, dims=dims, channels_first=channels_first, value_range=value_range)
    except SourceError as error:
        raise CallError(f"{name}: {error}") from None
    if spacing is not None and (len(spacing) != len(image.shape) or min(spacing) <= 0):
        raise CallError(f"{name}: spacing takes {len(image.shape)} positive numbers, not {tuple(spacing)}")
    return Case(
        CaseReference(source=name),
        {"image": replace(image, spacing=tuple(map(float, spacing)) if spacing else None, modality=modality)},
    )


def _array_image(
    array: Pixels,
    *,
    dims: int | None = None,
    channels_first: bool = False,
    value_range: tuple[float, float] | None = None,
) -> Image:
    channels, shape = _axes(array.shape, dims, channels_first)
    image = _described(array.dtype, shape, channels, value_range)
    return replace(image, read=partial(_channels_first, array, channels, channels_first))


def _axes(axes: tuple[int, ...], dims: int | None, channels_first: bool) -> tuple[int, tuple[int, ...]]:
    """(channels, shape) of an array with these axes."""
    if dims is None:
        has_channels = channels_first or (len(axes) in (3, 4) and axes[-1] == 3)
        dims = len(axes) - has_channels
    if dims not in (2, 3) or len(axes) - dims not in (0, 1) or 0 in axes:
        raise SourceError("dimensions", f"an array of shape {axes} is no image; 2 or 3 dimensions and channels are")
    if len(axes) == dims:
        return 1, axes
    return (axes[0], axes[1:]) if channels_first else (axes[-1], axes[:-1])


def _channels_first(array: Pixels, channels: int, channels_first: bool) -> Pixels:
    if channels == 1 and not channels_first and (array.ndim < 3 or array.shape[-1] != 1):
        return array[np.newaxis]
    return array if channels_first else np.moveaxis(array, -1, 0)


def _described(
    dtype: np.dtype[Any], shape: tuple[int, ...], channels: int, value_range: tuple[float, float] | None = None
) -> Image:
    """The image that an array of this dtype is; its reader is still to be set."""
    if dtype.name not in _DTYPES:
        raise SourceError(
            "values",
            f"holds {dtype.name}; convert it first, as you see fit, to one of {', '.join(_DTYPES)}",
        )
    bits = 8 * dtype.itemsize
    limits = None if dtype.kind == "f" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    full = (0.0, float(2**bits - 1)) if dtype.kind == "u" else None
    return Image(
        shape=shape,
        dtype=dtype.newbyteorder("="),
        read=_unread,
        channels=channels,
        values=ValueMeaning(full_range=value_range or full),
        bits=bits,
        stored_range=limits,
        photometric="RGB" if channels == 3 else "MONOCHROME2" if channels == 1 else None,
    )


def _unread() -> Pixels:
    raise AssertionError("whoever describes an array brings its reader")


def npy_cases(path: str, name: str) -> Iterator[Case]:
    """The one image of a `.npy` file, read when it is used. Raises `SourceError`, which names the file."""
    with reading(name):
        with Path(path).open("rb") as stream:
            axes, dtype = _npy_header(stream)
        channels, shape = _axes(axes, None, False)
        image = _described(dtype, shape, channels)
    yield Case(CaseReference(source=name), {"image": replace(image, read=partial(_read_npy, path, name, channels))})


def _read_npy(path: str, name: str, channels: int) -> Pixels:
    with reading(name):
        return _channels_first(_native(np.load(path, allow_pickle=False)), channels, False)


def _native(array: Pixels) -> Pixels:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise SourceError("unreadable", "holds Python objects, which would have to be unpickled")
    if np.prod(shape, dtype=object) * dtype.itemsize > _MAX_FILE_BYTES:
        raise SourceError("unreadable", f"claims more than {_MAX_FILE_BYTES >> 30} GiB")
    return shape, dtype


class _Split:
    """The images of one split; loaded when the first is read, and shared by all its cases."""

    def __init__(self, path: str, name: str, key: str) -> None:
        self._path, self._name, self._key = path, name, key
        self._lock = threading.Lock()
        self._images: Pixels | None = None

    def read(self, row: int, channels: int) -> Pixels:
        """[channels, *shape] of one row."""
        with self._lock:
            if self._images is None:
                with reading(self._name), np.load(self._path, allow_pickle=False) as file:
                    self._images = _native(file[self._key])
        return _channels_first(self._images[row], channels, False)


def npz_cases(path: str, name: str) -> Iterator[Case]:
    """A case for each row of `{train,val,test}_images`, with its split and `{split}_labels` in the case's row.

    Images are [N, H, W], [N, H, W, 3], or volumes [N, D, H, W]: a last axis of 3 is colour. Several labels a row
    become the columns label_0, label_1, ... Raises `SourceError`, which names the file.
    """
    with reading(name), zipfile.ZipFile(path) as archive:
        headers = {}
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as stream:
                    headers[member[:-4]] = _npy_header(stream)
    splits = [match[1] for match in map(_IMAGES.fullmatch, ("train_images", "val_images", "test_images")) if match]
    splits = [split for split in splits if f"{split}_images" in headers]
    if not splits:
        raise SourceError("unreadable", f"{name}: has no train_images, val_images or test_images")
    for split in splits:
        yield from _split_cases(path, name, split, *headers[f"{split}_images"])


def _split_cases(path: str, name: str, split: str, axes: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[Case]:
    with reading(name):
        if not axes:
            raise SourceError("dimensions", f"{split}_images is a single number")
        channels, shape = _axes(axes[1:], None, False)
        described = _described(dtype, shape, channels)
        labels = _labels(path, split, axes[0])
    images = _Split(path, name, f"{split}_images")
    for row in range(axes[0]):
        values = {"split": split} | ({} if labels is None else labels[row])
        image = replace(described, read=partial(images.read, row, channels))
        yield Case(CaseReference(source=f"{name}:{split}/{row}", row=row), {"image": image}, row=values)


def _labels(path: str, split: str, count: int) -> list[dict[str, str]] | None:
    with np.load(path, allow_pickle=False) as file:
        if f"{split}_labels" not in file.files:
            return None
        labels = np.asarray(file[f"{split}_labels"])
    if len(labels) != count:
        raise SourceError("unreadable", f"has {count} {split}_images and {len(labels)} {split}_labels")
    labels = labels.reshape(count, -1)
    names = ["label"] if labels.shape[1] == 1 else [f"label_{i}" for i in range(labels.shape[1])]
    return [dict(zip(names, map(str, row), strict=True)) for row in labels.tolist()]
