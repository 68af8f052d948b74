"""A whole run: sources in, files out, observers told; nothing half-written is ever visible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from . import model_folder, nodes, sources
from .case import Case, CaseReference
from .errors import CallError, PreprocessingError, WriterError
from .explain import METHOD, Method
from .generating import DRAWS
from .model import InputContract, Task
from .model_folder import LoadedModel
from .operating import abstaining
from .pipeline import Pipeline, as_refusal
from .plugins import Host, discover
from .result import Generated, Refused, Rejected, Skipped
from .selection import EVERYTHING, Selection
from .session import Answer, Session, WhenNovel, check_label, check_takes_images
from .writers import Writer, builtin

OnAnswer = Callable[[Answer], None]


@dataclass(frozen=True)
class Summary:
    """How a run ended: counts of results by kind, and the folder that holds them.

    `novel` counts what is unlike what the model was trained on, refused for it or not; None where it has no measure.
    `compared` counts the cases of which that was asked: what cannot be read is not among them.
    `notes` are sentences about what was not written and is no error, such as objects for what is no DICOM. `withheld`
    counts the draws of a generator that were near copies of training images, in place of which others were drawn.
    """

    output: Path
    answered: int
    refused: int
    skipped: int
    novel: int | None = None
    notes: tuple[str, ...] = ()
    withheld: int = 0
    compared: int = 0


@dataclass(frozen=True)
class Preview:
    """What a run would do with one case: `outcome` is None where it would be analysed on a grid of `shape`.

    `unverified` names the fields of the contract that its source does not state.
    """

    reference: CaseReference
    outcome: Refused | Skipped | None
    shape: tuple[int, ...] = ()
    unverified: tuple[str, ...] = ()


def run(
    model: str | Path | LoadedModel,
    source: sources.AnySource,
    output: str | Path,
    *,
    write: Sequence[str] = ("json", "html"),
    explanations: bool | str = False,
    abstain: bool = False,
    method: Method = METHOD,
    device: str = "auto",
    batch_size: int = 16,
    novel: WhenNovel = "flag",
    overwrite: bool = False,
    select: Selection = EVERYTHING,
    tilt: sources.Tilt = "refuse",
    on_answer: OnAnswer | None = None,
    on_read: sources.OnRead | None = None,
) -> Summary:
    """Answer every case of `source` and write the answers into `output`, one file or folder for each of `write`.

    `explanations` and `method` are as in `Session.run`. `abstain` puts the model's abstention in force
    (`operating.abstaining`). `novel` says whether what is unlike what the model was trained on is answered or refused,
    as in `Session`. What `select` does not want is skipped. `tilt` says what becomes of a series that is tilted, or has
    uneven gaps. `on_read` is told how many files are read, of how many.
    """
    host = discover()
    if abstain:
        model = abstaining(model if isinstance(model, LoadedModel) else model_folder.load(model))
    session = Session(model, device, batch_size, novel=novel)
    _check_explained(
        _writers(host, write, session.loaded.model.name, session.loaded.model.task),
        session.loaded.model.task,
        explanations,
    )
    cases = sources.read(
        source,
        session.loaded.contract.unit,
        extra=host.sources(),
        leave_out=Path(output),
        select=select,
        tilt=tilt,
        on_read=on_read,
    )
    probabilities = any(writer.wants_probabilities for name, writer in _known(host).items() if name in write)
    answers = session.answer(cases, explanations=explanations, method=method, keep_probabilities=probabilities)
    return _write(host, session.loaded, answers, _names(source), Path(output), write, overwrite, on_answer)


def generate(
    model: str | Path | LoadedModel,
    count: int,
    output: str | Path,
    *,
    seed: int = 0,
    label: str | None = None,
    write: Sequence[str] = ("json", "html", "png"),
    device: str = "auto",
    overwrite: bool = False,
    on_answer: OnAnswer | None = None,
) -> Summary:
    """Make `count` synthetic images, of `label` where one is named, and write them into `output`."""
    host = discover()
    session = Session(model, device)
    withheld = 0

    def counted(answer: Answer) -> None:
        nonlocal withheld
        made = answer.result.prediction
        withheld += made.withheld if isinstance(made, Generated) else DRAWS if answer.result.refused else 0
        if on_answer is not None:
            on_answer(answer)

    answers = (Answer(None, result) for result in session.generate(count, seed, label=label))
    named = (f"seed {seed}",)
    summary = _write(host, session.loaded, answers, named, Path(output), write, overwrite, counted)
    return replace(summary, withheld=withheld)


def preview(
    model: str | Path | LoadedModel,
    source: sources.AnySource,
    *,
    write: Sequence[str] = ("json", "html"),
    explanations: bool | str = False,
    output: str | Path | None = None,
    select: Selection = EVERYTHING,
    tilt: sources.Tilt = "refuse",
    on_read: sources.OnRead | None = None,
) -> Iterator[Preview]:
    """Say what a run would do with each case, without decoding a pixel or building a network.

    `output` is where the run would write: what lies there is no source. Raises `CallError` at once for a model, a
    writer or a label that the run would refuse.
    """
    host = discover()
    if isinstance(model, LoadedModel):
        name, task, labels = model.model.name, model.model.task, model.labels
        contract, preprocessing = model.contract, model.preprocessing
    else:
        card = model_folder.read_card(model)
        name, task, labels = card.plugin.name, Task(card.task), card.labels
        contract, preprocessing = card.contract, model_folder.checked_preprocessing(card, model)
    _check_explained(_writers(host, write, name, task), task, explanations)
    check_takes_images(name, task)
    check_label(explanations, labels)
    leave_out = None if output is None else Path(output)
    cases = sources.read(
        source, contract.unit, extra=host.sources(), leave_out=leave_out, select=select, tilt=tilt, on_read=on_read
    )
    return _previews(cases, contract, Pipeline(preprocessing, contract.images))


def _previews(cases: Iterable[Case | Rejected], contract: InputContract, pipeline: Pipeline) -> Iterator[Preview]:
    for case in cases:
        if isinstance(case, Rejected):
            yield Preview(case.reference, case.outcome)
        elif (refused := contract.admit(case)) is not None:
            yield Preview(case.reference, refused)
        else:
            try:
                yield Preview(case.reference, None, pipeline.shape(case), contract.unverified(case))
            except PreprocessingError as error:
                yield Preview(case.reference, as_refusal(error))


def _write(
    host: Host,
    loaded: LoadedModel,
    answers: Iterable[Answer],
    names: tuple[str, ...],
    output: Path,
    write: Sequence[str],
    overwrite: bool,
    on_answer: OnAnswer | None,
) -> Summary:
    name, task = loaded.model.name, loaded.model.task
    offered = _writers(host, write, name, task)
    others = [writer for writer in _known(host).values() if writer not in offered and writer.suits(task)]
    file = next((path for path in (output, *output.parents) if path.exists() and not path.is_dir()), None)
    if file is not None:
        raise CallError(f"{file} is a file; name a folder for the results")
    if not overwrite and output.is_dir() and any(output.iterdir()):
        raise CallError(f"{output} is not empty; name another folder, or say --overwrite (overwrite=True)")
    counts = {"answered": 0, "refused": 0, "skipped": 0}
    novel = None if loaded.novelty is None else 0
    compared = 0
    problems: list[str] = []
    host.notify("medplug_run_started", model=name, sources=names)
    with ExitStack() as stack:
        writers = [stack.enter_context(_Guarded(writer(output, loaded))) for writer in offered]
        for guarded in writers:
            guarded.writer.alongside([other.writer for other in writers])

        def clear_others(kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
            """Before the writers publish, so that nothing of theirs is removed; and not for a call that was wrong."""
            if overwrite and (kind is None or any(counts.values())):
                problems.extend(_clear(others, output))

        stack.push(clear_others)
        for answer in answers:
            for writer in writers:
                writer.write(answer)
            kind = "refused" if answer.result.refused else "answered" if answer.result.answered else "skipped"
            counts[kind] += 1
            if novel is not None and answer.result.novelty is not None:
                novel += answer.result.novelty.novel
                compared += 1
            host.notify("medplug_case_done", result=answer.result)
            if on_answer is not None:
                on_answer(answer)
    host.notify("medplug_run_finished", model=name, **counts)
    problems += [writer.failure for writer in writers if writer.failure is not None]
    if problems:
        cause = next((writer.error for writer in writers if writer.error is not None), None)
        raise WriterError(f"{'; '.join(problems)}. What the other writers made is in {output}") from cause
    return Summary(
        output,
        **counts,
        novel=novel,
        compared=compared,
        notes=tuple(dict.fromkeys(note for guarded in writers for note in guarded.writer.notes)),
    )


class _Guarded:
    """A writer whose failure costs only its own files: it is discarded, and said at the end of the run."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.failure: str | None = None
        self.error: Exception | None = None
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None and not self._taken:
            self.writer.discard()  # a call that was wrong from the start must not replace an earlier run's results
        elif self.failure is None:  # also when the run itself failed: what was answered is kept
            self._guard(self.writer.close)

    def write(self, answer: Answer) -> None:
        """Pass an answer on, unless the writer has failed before."""
        if self.failure is None:
            self._taken += 1
            self._guard(lambda: self.writer.write(answer))

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self.failure, self.error = f"the writer {self.writer.name!r} failed: {error}", error
            self.writer.discard()


def _clear(others: Sequence[type[Writer]], output: Path) -> list[str]:
    """Remove what an earlier run left and this one does not write; return what could not be removed, and why."""
    problems = []
    for other in others:
        try:
            other.clear(output)
        except Exception as error:  # a stranger's writer, or a file that may not be removed
            problems.append(f"the writer {other.name!r} failed to remove an earlier run's files: {error}")
    return problems


def _known(host: Host) -> dict[str, type[Writer]]:
    """Every writer by its name; those that medplug's own bear stay theirs."""
    return {**{writer.name: writer for writer in host.writers()}, **builtin()}


def _writers(host: Host, write: Sequence[str], model: str, task: Task) -> list[type[Writer]]:
    known = _known(host)
    suited = ", ".join(sorted(name for name, writer in known.items() if writer.suits(task)))
    if not write:
        raise CallError(f"no writer is named; for {model} there are {suited}")
    for name in write:
        if name not in known:
            raise CallError(f"no writer named {name!r}; for {model} there are {suited}")
        if not known[name].suits(task):
            raise CallError(f"the writer {name!r} has no form for what {model} answers ({task.value}): use {suited}")
    return [known[name] for name in dict.fromkeys(write)]


def _check_explained(writers: Sequence[type[Writer]], task: Task, explanations: bool | str) -> None:
    """Raise `CallError` for a writer that would write nothing of any answer."""
    lacking = [writer.name for writer in writers if task in writer.needs_explanation]
    if lacking and not explanations:
        raise CallError(f"{lacking[0]} writes where the model looked: add --explain (explanations=True)")


def _names(source: sources.AnySource) -> tuple[str, ...]:
    """The sources as observers are told of them: paths as text, nodes without keys, arrays by what they are."""
    items = source if isinstance(source, list | tuple) else [source]
    shown: list[object] = [item.partition("?")[0] if nodes.is_address(item) else item for item in items]
    return tuple(str(item) if isinstance(item, str | Path) else type(item).__name__ for item in shown)
