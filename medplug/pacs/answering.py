"""Quiet studies are answered, one at a time, by models that stay loaded."""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
import time
from pathlib import Path

from .. import devices, running
from ..errors import CallError, WriterError
from ..model_folder import LoadedModel, load
from ..result import Refused, Skipped
from ..session import Answer
from ..sources.refusal import clean
from .config import ListenConfig, ModelChoice
from .ledger import Work, short
from .spool import Spool

_LOG = logging.getLogger("medplug.pacs")
_IDLE_SECONDS = 0.5


_REASON = 300  # characters of it that are kept
_HINDRANCES = (OSError, sqlite3.Error, MemoryError)
"""What is the machine's fault and not the study's: a full disk, a locked file."""


class _Stopped(Exception):  # noqa: N818  # nothing has gone wrong
    """The listener ends in the midst of a run."""


def load_models(config: ListenConfig) -> list[tuple[ModelChoice, LoadedModel]]:
    """Load every model and check what it is to write. Raises `CallError` with the path in the configuration."""
    loaded = []
    for number, choice in enumerate(config.models):
        try:
            model = load(choice.path)
        except Exception as error:  # a plugin's own import among them
            raise CallError(f"models[{number}].path: {error}") from error
        try:
            running.preview(model, [], write=choice.write, explanations=choice.explain)
        except CallError as error:
            raise CallError(f"models[{number}].write: {error}") from None
        if choice.refuse_novel and model.novelty is None:
            raise CallError(f"models[{number}].refuse_novel: {choice.path} has no measure of novelty; train it again")
        try:
            devices.choose(choice.device)
        except CallError as error:
            raise CallError(f"models[{number}].device: {error}") from None
        loaded.append((choice, model))
    return loaded


class Answering:
    """The thread that runs the models. `answered` is called when there may be results to deliver."""

    def __init__(
        self,
        config: ListenConfig,
        spool: Spool,
        models: list[tuple[ModelChoice, LoadedModel]],
        answered: threading.Event,
    ) -> None:
        self._config, self._spool, self._models, self._answered = config, spool, models, answered
        self._stop = threading.Event()
        self._hindered = 0  # runs in a row
        self._thread = threading.Thread(target=self._work, name="medplug-answer")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, a run in the midst; it is made anew at the next start."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            busy = False
            try:
                for choice, model in self._models:
                    busy = self._next(choice, model) or busy
                self._forget_finished()
            except Exception:  # a full disk, say: the study waits, and the thread lives
                _LOG.exception("the queue cannot be worked on")
                busy = False
            if not busy:
                self._stop.wait(_IDLE_SECONDS)

    def _next(self, choice: ModelChoice, model: LoadedModel) -> bool:
        """Answer the study that has waited longest for a model; False where there is none."""
        name, retry, ledger = str(choice.path), self._config.retry, self._spool.ledger
        work = ledger.due(name, self._config.quiet_seconds, retry.attempts)
        if work is None or self._stop.is_set():
            return False
        ledger.begin(work, name, time.time() + pause(work.begun, self._config))
        begun = time.monotonic()
        try:
            if self._answer(work, choice, model):
                _LOG.info("study %s: %s took %.1f s", short(work.study), model.model.name, time.monotonic() - begun)
            self._hindered = 0
        except _Stopped:
            ledger.interrupted(work, name)
        except Exception as error:
            if (hindrance := _hindrance(error)) is not None:
                after = time.time() + pause(self._hindered, self._config)
                reason = self._told(f"{type(hindrance).__name__}: {hindrance}")
                self._hindered += 1
                _LOG.error(
                    "study %s: %s cannot run, it is tried again: %s", short(work.study), model.model.name, reason
                )
                ledger.interrupted(work, name, after, reason)
                return False
            self._failed(work, choice, model, f"{type(error).__name__}: {error}", {})
        self._answered.set()
        return True

    def _answer(self, work: Work, choice: ModelChoice, model: LoadedModel) -> bool:
        """Run a model on a study as it is now and note what came of it; False where that is no answer."""
        failures: list[str] = []
        without: list[str] | None = []  # why nothing is answered; None where something is

        def look(answer: Answer) -> None:
            nonlocal without
            if self._stop.is_set():
                raise _Stopped
            outcome = answer.result.prediction
            if isinstance(outcome, Refused) and outcome.code == "failed":
                failures.append(outcome.reason)
            if not isinstance(outcome, Refused | Skipped):
                without = None
            elif without is not None:
                without.append(outcome.reason)

        with self._spool.snapshot(work.study) as folder:
            try:
                running.run(
                    model,
                    folder / "study",
                    folder / "out",
                    write=choice.write,
                    explanations=choice.explain,
                    device=choice.device,
                    novel="refuse" if choice.refuse_novel else "flag",
                    select=choice.select,
                    on_answer=look,
                )
            except WriterError as error:  # what the other writers made is there
                if _hindrance(error) is not None:
                    raise
                failures.append(str(error))
            with self._spool.ledger.lock:
                results = self._spool.keep_results(work.study, _made(folder / "out"))
                if failures:
                    self._failed(work, choice, model, failures[0], results)
                    return False
                why = None if without is None else f"nothing was answered: {', '.join(without[:1]) or 'no image'}"
                if not self._spool.ledger.answered(work, str(choice.path), results, why and self._told(why)):
                    self._say_changed(work)
                    return False
        return True

    def _failed(
        self, work: Work, choice: ModelChoice, model: LoadedModel, reason: str, results: dict[str, str]
    ) -> None:
        """Note a failure, and what was answered in spite of it."""
        reason = self._told(reason)
        after = time.time() + pause(work.failed, self._config)
        if not self._spool.ledger.failed(work, str(choice.path), after, reason, results):
            self._say_changed(work)
            return
        last = work.failed + 1 >= self._config.retry.attempts
        then = "it is set aside" if last else "it is tried again"
        _LOG.error("study %s: %s failed, %s: %s", short(work.study), model.model.name, then, reason)

    def _told(self, reason: str) -> str:
        """Without the run's own folder: nobody has seen it, it is gone when this is read, and what follows counts."""
        return clean(re.sub(rf"{re.escape(str(self._spool.work))}/\w+/study/", "", reason), _REASON)

    def _say_changed(self, work: Work) -> None:
        _LOG.info("study %s: changed while it was answered; it is answered anew", short(work.study))

    def _forget_finished(self) -> None:
        names = tuple(str(choice.path) for choice, _ in self._models)
        keep = self._config.keep_hours * 3600
        for study in self._spool.ledger.finished(names, keep):
            if self._spool.forget(study, names, keep):
                _LOG.info("study %s: forgotten", short(study))


def _hindrance(error: BaseException | None) -> BaseException | None:
    """What hindered a run, if its failure, or its writer's, comes of that."""
    while isinstance(error, WriterError):
        error = error.__cause__
    return error if isinstance(error, _HINDRANCES) else None


def pause(before: int, config: ListenConfig) -> float:
    """Seconds until something is tried again that was tried `before` times: twice as long each time."""
    retry = config.retry
    return min(retry.first_seconds * 2.0 ** min(before, 30), retry.longest_seconds)


def _made(folder: Path) -> dict[str, Path]:
    """The DICOM that a run has written, by SOP Instance UID."""
    from pydicom.filereader import read_file_meta_info

    files = [file for part in sorted(folder.glob("dicom-*")) for file in sorted(part.rglob("*.dcm"))]
    return {str(read_file_meta_info(file).MediaStorageSOPInstanceUID): file for file in files}
