"""A model in service: cases in, results out, in the order of the source."""

from __future__ import annotations

import copy
import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from . import devices, explain, generating, model_folder, sources
from .case import Case, CaseReference
from .decoded import checked, to_source
from .errors import CallError, PluginError
from .explain import METHOD, Method
from .model import Batch, Generative, Labels, Model, Task
from .model_folder import LoadedModel
from .novelty import refusal, vectors_of
from .operating import operate
from .pipeline import Pipeline, Prepared, collate, prepare_or_refuse
from .plan import restore
from .result import (
    Classification,
    Explanation,
    Novelty,
    Outcome,
    Prediction,
    Provenance,
    Refused,
    Rejected,
    Result,
)
from .sources.refusal import clean

if TYPE_CHECKING:
    from torch import Tensor

_LOG = logging.getLogger(__name__)


WhenNovel = Literal["flag", "refuse"]
"""What becomes of a case that is unlike what the model was trained on: an answer that says so, or a refusal."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A result together with its case, whose pixels a writer may want; None where nothing readable was found."""

    case: Case | None
    result: Result


def load(
    model: str | Path,
    device: str = "auto",
    batch_size: int = 16,
    workers: int | None = None,
    novel: WhenNovel = "flag",
) -> Session:
    """Load a model folder into a session; nothing of it changes with the library's version."""
    return Session(model, device, batch_size, workers, novel)


@dataclass(eq=False)
class _Pending:
    """A case on its way: its preparation runs in a thread until `result` is there."""

    case: Case | None
    result: Result | None = None
    prepared: Future[Prepared | Refused] | None = None


@dataclass(frozen=True)
class _Asked:
    """What is wanted beside the answers themselves."""

    explanations: bool | str
    probabilities: bool
    method: Method


class Session:
    """A model on a device, ready to answer. Threads may share it: nothing in it changes after it is made.

    `model` is a model folder's path, a loaded model, or a `Model` that needs no training. `batch_size` is how many
    cases of equal shape the network gets at once; `workers` threads read and preprocess (default: one a core).
    `novel` says what becomes of a case that is unlike what the model was trained on: "flag" answers it and says so,
    "refuse" wants a model folder that holds a measure of novelty, else `CallError`.
    """

    def __init__(
        self,
        model: str | Path | LoadedModel | Model,
        device: str = "auto",
        batch_size: int = 16,
        workers: int | None = None,
        novel: WhenNovel = "flag",
    ) -> None:
        if batch_size < 1:
            raise CallError(f"a batch of {batch_size} cases: want at least 1")
        if novel not in get_args(WhenNovel):
            raise CallError(f"novel={novel!r}: a novel case is flagged or refused, so say 'flag' or 'refuse'")
        if isinstance(model, Model):
            model = model_folder.fresh(model)
        elif not isinstance(model, LoadedModel):
            model = model_folder.load(model)
        if novel == "refuse" and model.novelty is None:
            raise CallError(
                f"{model.model.name} has no measure of novelty, so no case can be refused for it: train it again, "
                "with validation rows"
            )
        self.loaded, self.novel = model, novel
        self.device = devices.choose(device)
        # A copy where it moves: the loaded model may serve another session.
        network = model.network if self.device.type == "cpu" else copy.deepcopy(model.network)
        self.network = network.to(self.device).eval()
        self._lock = threading.Lock()
        self.batch_size = batch_size
        self.workers = workers or os.cpu_count() or 1
        self.pipeline = Pipeline(model.preprocessing, model.contract.images)

    def run(
        self,
        source: sources.AnySource,
        *,
        explanations: bool | str = False,
        method: Method = METHOD,
    ) -> Iterator[Result]:
        """Answer every case of a source, and say of every other file why not.

        `explanations` adds a map of where the model looked: for its own answer, or for the label that is named.
        `method` is "grad-cam", "integrated-gradients" or "occlusion".
        """
        for answer in self.answers(source, explanations=explanations, method=method):
            yield answer.result

    def predict(self, image: sources.AnySource) -> Result:
        """Answer one image: an array, a path or a case. `CallError` when the source holds several."""
        return self._one(image, explanations=False)

    def explain(self, image: sources.AnySource, label: str | None = None, *, method: Method = METHOD) -> Result:
        """As `predict`, with a map of where the model looked, for its own answer or for `label`, by `method`."""
        return self._one(image, explanations=label or True, method=method)

    def answers(
        self,
        source: sources.AnySource,
        *,
        explanations: bool | str = False,
        method: Method = METHOD,
    ) -> Iterator[Answer]:
        """As `run`, each result together with its case."""
        cases = sources.read(source, self.loaded.contract.unit)
        return self.answer(cases, explanations=explanations, method=method)

    def answer(
        self,
        cases: Iterable[Case | Rejected],
        *,
        explanations: bool | str = False,
        method: Method = METHOD,
        keep_probabilities: bool = False,
    ) -> Iterator[Answer]:
        """As `answers`, for cases that have been read already.

        `keep_probabilities` leaves a segmentation its probabilities, on the source's grid, beside its mask.
        """
        model = self.loaded.model
        check_takes_images(model.name, model.task)
        if explanations:
            explain.check(model, self.network, method)
        check_label(explanations, self.loaded.labels)
        return self._stream(cases, _Asked(explanations, keep_probabilities, method))

    def generate(self, count: int, seed: int = 0, *, label: str | None = None) -> Iterator[Result]:
        """Make `count` synthetic images from `seed`; image i is the same whatever `count` is.

        What is nearly a training image is withheld and drawn again, where the model can tell. `label` is what they
        show; without, labels come as often as training met them. Raises `CallError`.
        """
        model = self.loaded.model
        if not isinstance(model, Generative):
            raise CallError(f"{model.name} does not generate images: its task is {model.task.value}")
        if label is not None and not model.conditional:
            raise CallError(f"{model.name} was trained without exclusive labels: it cannot be told which to show")
        if label is not None:
            check_label(label, self.loaded.labels)
        return self._generate(model, count, seed, label)

    def _generate(self, model: Generative, count: int, seed: int, label: str | None) -> Iterator[Result]:
        for index, made in enumerate(generating.generate(model, self.network, count, seed, label)):
            yield self._result(CaseReference(source=f"seed {seed}, image {index}"), made)

    def features(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        """Return features [N, F] of prepared cases of one shape; `CallError` when the model has none."""
        import torch

        with torch.inference_mode():
            found = self.loaded.model.features(self.network, collate(prepared, self.device))
        if found is None:
            raise CallError(f"{self.loaded.model.name} offers no features (Model.features) to compare images in")
        array: NDArray[np.float32] = found.float().cpu().numpy()
        return array

    @cached_property
    def provenance(self) -> Provenance:
        """With what this session computes."""
        import torch

        from . import __version__

        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return Provenance(medplug=__version__, torch=str(torch.__version__), device=name, precision="float32")

    def _one(self, image: sources.AnySource, explanations: bool | str, method: Method = METHOD) -> Result:
        results = [answer.result for answer in self.answers(image, explanations=explanations, method=method)]
        if len(results) != 1:
            raise CallError(f"one image is wanted and the source holds {len(results)}: use run")
        return results[0]

    def _stream(self, cases: Iterable[Case | Rejected], asked: _Asked) -> Iterator[Answer]:
        queue: deque[_Pending] = deque()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="medplug-prepare") as pool:
            try:
                for case in cases:
                    queue.append(self._admit(case, pool))
                    if len(queue) > 4 * self.batch_size:
                        yield self._next(queue, asked)
                while queue:
                    yield self._next(queue, asked)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # interrupted, nobody waits for what is not begun

    def _admit(self, case: Case | Rejected, pool: ThreadPoolExecutor) -> _Pending:
        if isinstance(case, Rejected):
            return _Pending(None, self._result(case.reference, case.outcome))
        refused = self.loaded.contract.admit(case)
        if refused is not None:
            return _Pending(case, self._result(case.reference, refused))
        return _Pending(case, prepared=pool.submit(prepare_or_refuse, self.pipeline, case))

    def _next(self, queue: deque[_Pending], asked: _Asked) -> Answer:
        """Finish the first of the queue, together with as many of its shape as one batch takes."""
        if queue[0].result is None:
            self._settle(queue, asked)
        pending = queue.popleft()
        assert pending.result is not None
        return Answer(pending.case, pending.result)

    def _settle(self, queue: deque[_Pending], asked: _Asked) -> None:
        together: list[tuple[_Pending, Prepared]] = []
        for pending in queue:
            if pending.result is not None or pending.prepared is None or pending.case is None:
                continue
            prepared = pending.prepared.result()
            if isinstance(prepared, Refused):
                pending.result = self._result(pending.case.reference, prepared)
                if not together:
                    return
            elif not together or prepared.shape == together[0][1].shape:
                together.append((pending, prepared))
            if len(together) == self.batch_size:
                break
        answered = self._infer_each([prepared for _, prepared in together], asked)
        for (pending, _), result in zip(together, answered, strict=True):
            pending.result, pending.prepared = result, None

    def _infer_each(self, prepared: Sequence[Prepared], asked: _Asked) -> list[Result]:
        """Answer a batch; when its plugin raises, answer case by case, so that only the case that raises is lost."""
        try:
            return self._infer(prepared, asked)
        except CallError:
            raise
        except Exception as error:
            if len(prepared) == 1:
                name = self.loaded.model.name
                _LOG.warning("%s failed on %s", name, prepared[0].case.reference.source, exc_info=True)
                reason = f"the plugin {name} failed on this image: {type(error).__name__}: {clean(error)}"
                return [self._result(prepared[0].case.reference, Refused(code="failed", reason=reason))]
        return [result for one in prepared for result in self._infer_each([one], asked)]

    def _infer(self, prepared: Sequence[Prepared], asked: _Asked) -> list[Result]:
        import torch

        model = self.loaded.model
        batch = collate(prepared, self.device)
        with self._lock, torch.inference_mode():  # an explanation of another thread may have its hooks on the network
            output = devices.forward_in_parts(lambda part: model.forward(self.network, part), batch)
            novelties = self._novelties(batch, output)
            output = {name: tensor.float().cpu() for name, tensor in output.items()}
            decoded = list(model.decode(output, batch))
        if len(decoded) != len(prepared):
            raise PluginError(f"decode gave {len(decoded)} predictions for {len(prepared)} cases")
        outcomes = [
            outcome
            if isinstance(outcome, Refused)
            else operate(outcome, self.loaded.calibration, self.loaded.thresholds, self.loaded.abstention)
            for outcome in (self._checked(*each) for each in zip(decoded, novelties))
        ]
        maps = self._explanations(batch, outcomes, asked) if asked.explanations else [None] * len(outcomes)
        return [
            self._result(
                one.case.reference,
                outcome if isinstance(outcome, Refused) else to_source(outcome, one.grid, asked.probabilities),
                unverified=self.loaded.contract.unverified(one.case),
                explanation=None
                if made is None or isinstance(outcome, Refused)
                else replace(made, map=restore(one.grid, made.map[None])[0]),
                novelty=novelty,
            )
            for one, outcome, made, novelty in zip(prepared, outcomes, maps, novelties, strict=True)
        ]

    def _novelties(self, batch: Batch, output: Mapping[str, Tensor]) -> Sequence[Novelty | None]:
        measure = self.loaded.novelty
        if measure is None:
            return [None] * len(batch)
        return measure.judge(vectors_of(self.loaded.model, self.network, batch, output))

    def _checked(self, prediction: Prediction, novelty: Novelty | None) -> Prediction | Refused:
        if self.novel == "refuse" and novelty is not None and novelty.novel:
            return refusal(novelty)
        return checked(prediction, self.loaded.model)

    def _explanations(
        self, batch: Batch, outcomes: Sequence[Prediction | Refused], wished: _Asked
    ) -> list[Explanation | None]:
        names, wanted = self.loaded.model.labels.names, wished.explanations
        labels = [wanted if isinstance(wanted, str) else _answer(outcome) for outcome in outcomes]
        asked = [names.index(label) if label is not None else 0 for label in labels]
        with self._lock:
            maps = explain.attribute(self.loaded.model, self.network, batch, asked, wished.method)
        return [
            None if label is None else Explanation(method=wished.method, label=label, map=made)
            for label, made in zip(labels, maps)
        ]

    def _result(
        self,
        reference: CaseReference,
        outcome: Outcome,
        unverified: tuple[str, ...] = (),
        explanation: Explanation | None = None,
        novelty: Novelty | None = None,
    ) -> Result:
        return Result(
            case=reference,
            prediction=outcome,
            unverified=unverified,
            explanation=explanation,
            novelty=novelty,
            model=self.loaded.reference,
            plan_id=self.loaded.preprocessing.plan_id,
            provenance=self.provenance,
        )


def check_takes_images(model: str, task: Task) -> None:
    """Raise `CallError` for a model that generates images instead of answering them."""
    if task is Task.GENERATION:
        raise CallError(f"{model} generates images and takes none: use generate")


def check_label(explanations: bool | str, labels: Labels) -> None:
    """Raise `CallError` where an explanation is wanted of a label that the model does not have."""
    if isinstance(explanations, str) and explanations not in labels.names:
        raise CallError(f"no label {explanations!r}; the model has {', '.join(labels.names)}")


def _answer(outcome: Prediction | Refused) -> str | None:
    """The label that an explanation is about: a classification's own answer, None where there is none."""
    if isinstance(outcome, Refused):
        return None
    if not isinstance(outcome, Classification):
        raise CallError(f"an answer of the kind {type(outcome).__name__} has no label to explain")
    return max(outcome.probabilities, key=lambda name: outcome.probabilities[name])
