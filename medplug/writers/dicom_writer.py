"""What the writers of DICOM results share: one numbered file an object, and what is said of cases that get none."""

from __future__ import annotations

import importlib.util
import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from traceback import format_tb
from typing import ClassVar

from ..errors import CallError, WriterError
from ..model import Task
from ..model_folder import LoadedModel
from ..session import Answer
from ..sources.refusal import quiet
from .object_record import ObjectRecord
from .staging import Staging
from .writer import Writer

_LOG = logging.getLogger(__name__)
_NO_DICOM = "the source is no DICOM, and only a study has a place for one"
_RESAMPLED = "the slices were interpolated, and lie where no frame of a file does"
_NAMED = 5  # files that an error lists before it counts


class NothingToWrite(Exception):  # noqa: N818  # no error
    """An answer that holds nothing for this kind of object; the message says what is missing."""


class DicomWriter(Writer):
    """Writes `<name>/<number of the answer>.dcm` beside the study that a case was read from.

    A refusal, and a case that is no DICOM, get no object. One whose header cannot be copied costs its own object
    alone, and is named when all others are published.
    """

    tasks: ClassVar[frozenset[Task]]
    needs: ClassVar[str | None] = "highdicom"

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Whether there is an object for what such models answer."""
        return task in cls.tasks

    @classmethod
    def clear(cls, folder: Path) -> None:
        """Remove the objects."""
        _staging(folder, cls.name).clear()

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        if self.needs is not None and importlib.util.find_spec(self.needs) is None:
            raise CallError(f"the writer {self.name!r} needs {self.needs}: pip install 'medplug[dicom]'")
        super().__init__(folder, loaded)
        self.record = ObjectRecord()
        self._files = _staging(self.folder, self.name)
        self._count = 0
        self._without: Counter[str] = Counter()
        self._failed: list[str] = []
        self._cause: BaseException | None = None

    @abstractmethod
    def objects(self, answer: Answer) -> Iterator[tuple[str, bytes]]:
        """Yield the files of one answer to a DICOM case, each with a word for its name, empty for the only one.

        Raises `NothingToWrite`, or `WriterError` for a source that no object can stand beside.
        """

    def write(self, answer: Answer) -> None:
        """Write the objects of one answer."""
        self._count += 1
        if not answer.result.answered or answer.case is None:
            return
        if not answer.case.image.frames:
            self._without[_RESAMPLED if answer.result.case.study_instance_uid else _NO_DICOM] += 1
            return
        source = answer.result.case.source
        try:
            with quiet():
                made = list(self.objects(answer))
        except NothingToWrite as nothing:
            self._without[str(nothing)] += 1
        except WriterError as error:
            self._failed.append(str(error))
            self._cause = self._cause or error.__cause__
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Another header than was ever seen. A foreign error's text may quote the patient: where it arose will do.
            _LOG.warning(
                "%s of %s: %s\n%s", self.name, source, type(error).__name__, "".join(format_tb(error.__traceback__))
            )
            self._failed.append(f"{source}: no valid object can be made of it ({type(error).__name__})")
        else:
            for word, content in made:
                self._files.put(self._files.file(self._count, word), content)

    def close(self) -> None:
        """Publish the objects; then `WriterError` if an answer has none and should."""
        self._files.publish()
        if self._failed:
            named = "; ".join(self._failed[:_NAMED])
            more = f"; and {len(self._failed) - _NAMED} more" if len(self._failed) > _NAMED else ""
            count = "one answer" if len(self._failed) == 1 else f"{len(self._failed)} answers"
            raise WriterError(f"{count} could not be written, the others are: {named}{more}") from self._cause

    def discard(self) -> None:
        """Remove what was begun."""
        self._files.discard()

    @property
    def notes(self) -> tuple[str, ...]:
        """How many answers have no object, and why; what is so for every writer is said in the same words by all."""
        return tuple(
            f"{'DICOM' if why in (_NO_DICOM, _RESAMPLED) else self.name}: "
            f"{'1 answer has' if count == 1 else f'{count} answers have'} no object: {why}"
            for why, count in self._without.items()
        )


def _staging(folder: Path, name: str) -> Staging:
    return Staging(folder, name, ".dcm")
