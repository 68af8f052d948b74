"""The guided tour: synthetic radiographs, three models trained on them, and one report of it all."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from ..dataset import DataOptions
from ..evaluation import dataset_of, evaluate, store_metrics
from ..evaluation import write as write_evaluation
from ..figures import Evaluation
from ..running import generate, run
from ..session import Answer, Session
from ..training import Trained, TrainingProgress, train
from ..writers.html_page import Section, chapter, text_section
from ..writers.reports import run_sections, tour_report, training_sections
from .dataset import write_dataset

REPORT = "report.html"
_COLUMNS = DataOptions(labels=("label",), patient="patient", split="split", modality=("CR", "DX"), body_part=("CHEST",))

Say = Callable[[str, TrainingProgress | None], None]


@dataclass(frozen=True)
class _Lesson:
    """A model of the tour, how long it learns, and what the reader is told of it."""

    plugin: str
    steps: int
    options: dict[str, object]
    normal: str | None
    title: str
    lead: str


_LESSONS = (
    _Lesson(
        "cnn",
        steps=220,
        # Few images and little time: a smaller network, and labels as they are.
        options={"size": 128, "width": 24, "mixup": 0.0, "recipe.ema": 0.97},
        normal=None,
        title="Classification",
        lead="A residual network says how probable normal, pneumonia and tuberculosis are. It was trained on some "
        "patients, calibrated on others, and is measured here on a third group.",
    ),
    _Lesson(
        "autoencoder",
        steps=80,
        options={"recipe.batch_size": 16},
        normal="normal",
        title="Anomaly",
        lead="An autoencoder that has seen normal radiographs only, and lesions drawn into them. What it cannot "
        "rebuild, and what looks like a lesion, is unusual.",
    ),
    _Lesson(
        "gan",
        steps=250,
        options={"size": 32},
        normal=None,
        title="Generation",
        lead="Two networks that learnt from each other make radiographs of nobody. A few hundred steps give the idea; "
        "longer training gives the detail.",
    ),
)


def tour(folder: Path, *, patients: int = 90, seed: int = 0, device: str = "auto", say: Say) -> Path:
    """Take the whole tour into `folder` and return the report's path. `say` hears what is being done."""
    say("drawing synthetic radiographs", None)
    manifest = write_dataset(folder / "radiographs", patients=patients, seed=seed)
    sections = [_introduction(manifest)]
    for lesson in _LESSONS:
        trained = _learn(lesson, manifest, folder, seed, device, say)
        sections += [chapter(lesson.title, lesson.lead), *_chapter(lesson, trained, manifest, folder, device, say)]
    path = folder / REPORT
    return tour_report(
        path,
        "A tour of medplug",
        sections,
        lead="Every image here is synthetic and shows no patient.",
    )


def _introduction(manifest: Path) -> Section:
    rows = _rows(manifest)
    patients, scanners = ({row[name] for row in rows} for name in ("patient", "scanner"))
    return text_section(
        "What was done",
        f"{len(rows)} chest radiographs of {len(patients)} patients who do not exist were drawn as DICOM files of "
        f"{len(scanners)} different scanners. Three plugins were trained on them, measured on patients whom they had "
        "not seen, and put to work on DICOM files.",
        "The figures say how well the models tell drawings apart. They say nothing about people.",
    )


def _learn(lesson: _Lesson, manifest: Path, folder: Path, seed: int, device: str, say: Say) -> Trained:
    return train(
        lesson.plugin,
        manifest,
        folder / "models" / lesson.plugin,
        options=lesson.options,
        data_options=_COLUMNS,
        normal=lesson.normal,
        steps=lesson.steps,
        seed=seed,
        device=device,
        progress=lambda now: say(f"training {lesson.plugin}", now),
    )


def _chapter(
    lesson: _Lesson, trained: Trained, manifest: Path, folder: Path, device: str, say: Say
) -> Iterator[Section]:
    output = folder / "results" / lesson.plugin
    if lesson.plugin == "gan":
        say("generating", None)
        made: list[Answer] = []
        generate(trained.path, 24, output, write=("json", "html", "png", "dicom"), device=device, on_answer=made.append)
        yield from run_sections(Session(trained.path, device).loaded, made)
        yield from training_sections(trained.path, trained.card, trained.history)
        return
    say(f"evaluating {lesson.plugin}", None)
    session = Session(trained.path, device)
    dataset = dataset_of(session.loaded)
    evaluation = evaluate(session, dataset)
    _keep(trained, evaluation)
    say(f"running {lesson.plugin} on DICOM", None)
    answers: list[Answer] = []
    explained = lesson.plugin == "cnn"
    files = _study(manifest, folder / "study", per_label=3 if explained else 1)
    run(trained.path, files, output, explanations=explained, device=device, on_answer=answers.append)
    yield from run_sections(session.loaded, answers)
    yield from training_sections(trained.path, trained.card, trained.history, evaluation, cases=dataset.cases)


def _keep(trained: Trained, evaluation: Evaluation) -> None:
    write_evaluation(evaluation, trained.path / "evaluation")
    store_metrics(trained.path, evaluation)


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _study(manifest: Path, folder: Path, per_label: int) -> Sequence[Path]:
    """Lay out a folder as a PACS export may look: test images of each label, and three files that are no such image."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    taken: dict[str, int] = {}
    for row in _rows(manifest):
        if row["split"] == "test" and taken.get(row["label"], 0) < per_label:
            taken[row["label"]] = taken.get(row["label"], 0) + 1
            source = manifest.parent / row["file"]
            shutil.copy(source, folder / f"{row['label']}-{taken[row['label']]}.dcm")
    dataset = dcmread(source)
    dataset.BodyPartExamined = "KNEE"
    dataset.save_as(folder / "says-it-is-a-knee.dcm")
    (folder / "truncated.dcm").write_bytes(source.read_bytes()[:60_000])
    (folder / "notes.txt").write_text("A folder from a PACS holds other things too.\n", encoding="utf-8")
    return [folder]
