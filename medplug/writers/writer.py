"""What every writer does: take answers one by one, and show its files only when they are whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from ..model import Task
from ..model_folder import LoadedModel
from ..session import Answer


class Writer(ABC):
    """Writes the answers of one run into `folder`, each writer under file names of its own.

    Nothing stands under its final name before `close`, which publishes whole files alone. As a context manager
    it closes at the end and after Ctrl-C, so that finished cases are kept, and discards after any other error.
    """

    name: ClassVar[str]
    wants_probabilities: ClassVar[bool] = False
    """Whether it writes a segmentation's probabilities, which are kept only for such a writer: they are large."""

    needs_explanation: ClassVar[frozenset[Task]] = frozenset()
    """The tasks of which it writes nothing but explanations: without them a run with it is a wrong call."""

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Whether this writer has a form for what models for `task` answer."""
        return True

    @classmethod
    def clear(cls, folder: Path) -> None:
        """Remove what an earlier run of this writer left in `folder`, and nothing else.

        Called when a run that writes other things has overwritten that run.
        """
        return

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        self.folder = Path(folder)
        self.loaded = loaded
        self.folder.mkdir(parents=True, exist_ok=True)

    def alongside(self, writers: Sequence[Writer]) -> None:  # noqa: B027  # few refer to each other
        """Learn of all writers of the run, before the first answer: for objects that refer to one another's."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know at the end of the run and is no error, in sentences."""
        return ()

    @abstractmethod
    def write(self, answer: Answer) -> None:
        """Take one answer. Keeps no pixels."""

    @abstractmethod
    def close(self) -> None:
        """Publish the files."""

    @abstractmethod
    def discard(self) -> None:
        """Remove whatever was begun; the folder is as it was."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.close()
        else:
            self.discard()
