"""From the cells of a table to labels and to the numbers that a model is trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ..errors import CallError
from ..model import Code, Labels

Targets = NDArray[np.int64] | NDArray[np.float32]


class LabelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a label file: what the data calls a label, what people call it, and its code."""

    value: str
    name: str | None = None
    code: Code | None = None


def read_label_file(path: str | Path) -> tuple[LabelEntry, ...]:
    """Read a JSON list of `{"value": "0", "name": "normal", "code": {...}}`; its order becomes the labels' order."""
    try:
        entries = msgspec.json.decode(Path(path).read_bytes(), type=tuple[LabelEntry, ...])
    except OSError as error:
        raise CallError(f"the label file {path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallError(
            f"{path} is no label file: {error}. "
            'Want a JSON list such as [{"value": "0", "name": "normal", '
            '"code": {"value": "17621005", "scheme": "SCT", "meaning": "Normal"}}]'
        ) from error
    for field in ("value", "name"):
        found = [entry.value if field == "value" else entry.name or entry.value for entry in entries]
        twice = sorted({text for text in found if found.count(text) > 1})
        if twice:
            raise CallError(f"{path} has the {field} {twice[0]!r} more than once")
    return entries


def labels_of(values: Sequence[str], exclusive: bool, entries: Sequence[LabelEntry] | None = None) -> Labels:
    """Return the labels that stand for `values`: numbers in their order, words sorted, or in a label file's order."""
    values = _ordered(values) if exclusive else tuple(values)
    if entries is None:
        return Labels(names=values, exclusive=exclusive)
    listed = {entry.value for entry in entries}
    strange, unused = sorted(set(values) - listed), sorted(listed - set(values))
    if strange or unused:
        said = [f"does not list {', '.join(strange)}"] if strange else []
        said += [f"lists {', '.join(unused)}, which no row has"] if unused else []
        raise CallError(f"the label file {' and '.join(said)}; it must list what the data holds")
    names = tuple(entry.name or entry.value for entry in entries)
    return Labels(
        names=names,
        exclusive=exclusive,
        codes={name: entry.code for name, entry in zip(names, entries) if entry.code is not None},
        values=tuple(entry.value for entry in entries),
    )


def _ordered(values: Sequence[str]) -> tuple[str, ...]:
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        return tuple(sorted(set(values)))
    return tuple(sorted(numbers, key=lambda value: (numbers[value], value)))


def extended(labels: Labels, cells: Sequence[str]) -> Labels:
    """Return labels that also stand for what the cells hold besides; what is only a label's name stays unknown."""
    values = labels.values or labels.names
    others = tuple(sorted(set(cells) - set(values) - set(labels.names)))
    return replace(labels, names=labels.names + others, values=values + others) if others else labels


def exclusive_targets(cells: Sequence[str], labels: Labels) -> NDArray[np.int64]:
    """Return [N] the index of each row's label; `CallError` names the values that are no label."""
    index = {value: place for place, value in enumerate(labels.values or labels.names)}
    strange = sorted(set(cells) - index.keys())
    if strange:
        raise CallError(
            f"the data holds the labels {', '.join(map(repr, strange[:10]))}, "
            f"which the model does not know; it has {', '.join(index)}"
        )
    return np.array([index[cell] for cell in cells], dtype=np.int64)


def present_or_absent(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> NDArray[np.float32]:
    """Return [N, L] 1 for present, 0 for absent and NaN for an empty cell; `CallError` for anything else."""
    numbers = measured(rows, columns)
    wrong = np.argwhere(~(np.isnan(numbers) | (numbers == 0) | (numbers == 1)))
    if len(wrong):
        row, column = wrong[0]
        raise CallError(
            f"column {columns[column]!r} holds {rows[row][columns[column]]!r}; "
            "of several label columns each cell is 1, 0 or empty"
        )
    return numbers


def measured(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> NDArray[np.float32]:
    """Return [N, V] the numbers of the columns, NaN for an empty cell; `CallError` for what is no number."""
    numbers = np.full((len(rows), len(columns)), np.nan, np.float32)
    for place, row in enumerate(rows):
        for index, column in enumerate(columns):
            cell = row[column].strip()
            if not cell or cell.lower() == "nan":
                continue
            try:
                numbers[place, index] = float(cell)
            except ValueError:
                numbers[place, index] = math.inf
            if not math.isfinite(numbers[place, index]):
                raise CallError(f"column {column!r} holds {row[column]!r}, which is no number")
    return numbers
