"""`results.jsonl`: one line a result, as `medplug schema result` publishes it; arrays in `.npy` files beside it."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import MedplugError
from ..model_folder import LoadedModel
from ..result import ArrayFile, Result
from ..session import Answer
from .staging import Staging
from .writer import Writer

RESULTS = "results.jsonl"
_FILE = re.compile(r"arrays/\d{6,}-[a-z-]+\.npy")


class JsonLines(Writer):
    """Writes `results.jsonl` and `arrays/<number of the line>-<kind>.npy`. Equal answers give equal bytes."""

    name: ClassVar[str] = "json"

    @classmethod
    def clear(cls, folder: Path) -> None:
        """Remove `results.jsonl` and its arrays."""
        (folder / RESULTS).unlink(missing_ok=True)
        _staging(folder).clear()

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        super().__init__(folder, loaded)
        self._arrays = _staging(self.folder)
        self._hidden = self.folder / f".{RESULTS}.{os.getpid()}.part"
        self._stream = self._hidden.open("wb")
        self._count = 0

    def write(self, answer: Answer) -> None:
        """Write one line; `MedplugError` when the result holds what JSON cannot, such as NaN."""
        self._count += 1
        result = answer.result
        line = msgspec.json.encode(result, enc_hook=_Arrays(self._arrays, self._count, result))
        try:
            msgspec.json.decode(line, type=Result, dec_hook=_ignore)
        except msgspec.ValidationError as error:
            raise MedplugError(
                f"the result of {result.case.source} cannot be written: {error}. "
                f"A number that is not finite, given by the plugin's decode, is the usual cause"
            ) from error
        self._stream.write(line + b"\n")

    def close(self) -> None:
        """Publish the arrays, then the lines that name them."""
        if self._stream.closed:
            return
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._arrays.publish()
        self._hidden.replace(self.folder / RESULTS)

    def discard(self) -> None:
        """Remove what was begun."""
        self._stream.close()
        self._hidden.unlink(missing_ok=True)
        self._arrays.discard()


def _staging(folder: Path) -> Staging:
    return Staging(folder, "arrays", ".npy")


class _Arrays:
    """The encoder's hook: writes each array of one result and returns what stands for it in the JSON."""

    def __init__(self, staging: Staging, number: int, result: Result) -> None:
        self._staging, self._number = staging, number
        owners = (("", result.prediction), ("explanation-", result.explanation))
        self._kinds = {
            id(getattr(owner, field)): prefix + field
            for prefix, owner in owners
            if owner is not None
            for field in owner.__struct_fields__
        }

    def __call__(self, array: Any) -> ArrayFile:
        if not isinstance(array, np.ndarray):
            raise NotImplementedError(f"a result holds a {type(array).__name__}, which has no JSON form")
        stream = io.BytesIO()
        np.save(stream, np.asarray(array, order="C"), allow_pickle=False)
        file = self._staging.file(self._number, self._kinds[id(array)])
        self._staging.put(file, stream.getvalue())
        sha256 = hashlib.sha256(stream.getvalue()).hexdigest()
        return ArrayFile(file=file, shape=array.shape, dtype=array.dtype.name, sha256=sha256)


def _ignore(kind: Any, plain: Any) -> NDArray[Any]:
    """Check an array's entry without reading its file."""
    msgspec.convert(plain, ArrayFile)
    return np.empty(0)


def read_results(path: Path | str) -> Iterator[Result]:
    """Read results back, arrays included: `path` is the file, or the folder that holds it.

    Strict: an unknown field, a file outside the folder, or an array that is not what its line says (SHA-256, shape,
    dtype) raises `MedplugError` with the line's number.
    """
    path = Path(path)
    path = path / RESULTS if path.is_dir() else path

    def load(kind: Any, plain: Any) -> NDArray[Any]:
        return _load(path.parent, msgspec.convert(plain, ArrayFile))

    decoder = msgspec.json.Decoder(Result, dec_hook=load)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OSError) as error:
                raise MedplugError(f"{path}, line {number}: {error}") from error


def _load(folder: Path, entry: ArrayFile) -> NDArray[Any]:
    if not _FILE.fullmatch(entry.file):
        raise ValueError(f"{entry.file!r} is no name of an array file: they are arrays/<number>-<kind>.npy")
    file = (folder / entry.file).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ValueError(f"{entry.file} leads out of the folder")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ValueError(f"{entry.file} was changed: its SHA-256 is not what the line says")
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{entry.file} is no .npy file of version 1.0")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if shape != entry.shape or dtype.name != entry.dtype or dtype.hasobject:
        raise ValueError(f"{entry.file} holds {dtype.name} {shape}; the line says {entry.dtype} {entry.shape}")
    # Before anything is allocated: a short file may claim any shape.
    if len(content) - stream.tell() != int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise ValueError(f"{entry.file} does not hold as many bytes as its shape says")
    stream.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array
