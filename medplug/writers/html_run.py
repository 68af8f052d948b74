"""The sections of a run: what was found, the cases, the refusals, the model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image as Picture

from ..model import Task
from ..model_folder import LoadedModel
from ..operating import ANOMALOUS
from ..result import Anomaly, Classification, Generated, Provenance, Refused, Regression, Result, Segmentation, Skipped
from ..session import Answer
from .html_cases import CaseView, most_probable, outlined, view
from .html_model import model_sections
from .html_page import Section, count, fill
from .html_plots import histogram
from .pictures import INFERNO, data_uri, png
from .synthetic import NOTICE, SHEET, contact_sheet, tile

PICTURES = 100
"""How many answered cases are shown with their pictures, unless the caller says otherwise."""
PICTURE_BYTES = 24_000_000
ROWS = 5_000
"""How many lines each table has at most."""
_ABSTAINED = "(abstained)"
_SINGLES = 24


@dataclass(frozen=True)
class _Sample:
    uri: str
    seed: int
    index: int
    label: str | None


class RunSections:
    """Gathers the answers of one run and makes a report's sections of them. Keeps no pixels, only small pictures."""

    def __init__(self, loaded: LoadedModel, pictures: int = PICTURES) -> None:
        self._loaded, self._pictures = loaded, pictures
        self._counts: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._numbers: dict[str, list[float]] = {}
        self._views: list[CaseView] = []
        self._lines: list[CaseView] = []
        self._refused: list[tuple[str, str, str]] = []
        self._skipped: list[tuple[str, str]] = []
        self._unverified: Counter[str] = Counter()
        self._novel = self._compared = 0
        self._tiles: list[Picture.Image] = []
        self._samples: list[_Sample] = []
        self._weight = 0
        self._provenance: Provenance | None = None

    def add(self, answer: Answer) -> None:
        """Take one answer; its pictures are drawn now."""
        result = answer.result
        self._provenance = self._provenance or result.provenance
        outcome = result.prediction
        self._compared += result.novelty is not None
        self._novel += result.novelty is not None and result.novelty.novel
        if isinstance(outcome, Refused):
            self._counts["refused"] += 1
            if len(self._refused) < ROWS:
                self._refused.append((result.case.source, outcome.code, _reason(result.case.source, outcome)))
        elif isinstance(outcome, Skipped):
            self._counts["skipped"] += 1
            if len(self._skipped) < ROWS:
                self._skipped.append((result.case.source, _reason(result.case.source, outcome)))
        elif isinstance(outcome, Generated):
            self._counts["generated"] += 1
            self._add_sample(outcome)
        else:
            self._counts["answered"] += 1
            self._add_case(answer, result)

    @property
    def lead(self) -> str:
        """The run in one sentence."""
        if self._counts["generated"]:
            return f"{count(self._counts['generated'])} synthetic images. They show no patient."
        parts = [f"{count(self._counts[word])} {word}" for word in ("answered", "refused", "skipped")]
        total = self._counts.total()
        return f"{count(total)} {'source' if total == 1 else 'sources'}: {parts[0]}, {parts[1]}, {parts[2]}."

    def sections(self, model: bool = True) -> tuple[Section, ...]:
        """Return the sections, from the summary down; `model` adds the model's own."""
        made = [self._samples_section()] if self._counts["generated"] else [self._summary(), *self._cases()]
        made += self._objections()
        return (*made, *(model_sections(self._loaded, self._provenance) if model else ()))

    def _add_case(self, answer: Answer, result: Result) -> None:
        self._unverified.update(result.unverified)
        self._tally(result)
        wanted = len(self._views) < self._pictures and self._weight < PICTURE_BYTES and answer.case is not None
        if not wanted and len(self._lines) >= ROWS:
            return
        made = view(self._counts["answered"], answer.case, result, self._loaded, wanted)
        if wanted:
            self._views.append(made)
            self._weight += made.bytes
        if len(self._lines) < ROWS:
            self._lines.append(made)

    def _tally(self, result: Result) -> None:
        outcome = result.prediction
        if isinstance(outcome, Classification):
            if outcome.abstained:
                self._found[_ABSTAINED] += 1
            elif outcome.exclusive:
                self._found[most_probable(outcome)] += 1
            else:
                self._found.update(outcome.positive or ())
        elif isinstance(outcome, Anomaly):
            self._numbers.setdefault("score", []).append(outcome.score)
        elif isinstance(outcome, Regression):
            for name, value in outcome.values.items():
                self._numbers.setdefault(name, []).append(value)
        elif isinstance(outcome, Segmentation):
            self._found.update(outlined(outcome))

    def _add_sample(self, made: Generated) -> None:
        if len(self._tiles) < SHEET:
            self._tiles.append(tile(made.image))
        if len(self._samples) < _SINGLES:
            self._samples.append(_Sample(data_uri(png(tile(made.image))), made.seed, made.index, made.label))

    def _summary(self) -> Section:
        limit = next((one.value for one in self._loaded.thresholds if one.label == ANOMALOUS), None)
        plots = [
            histogram(values, name, mark=(limit, "threshold") if limit is not None and name == "score" else None)
            for name, values in list(self._numbers.items())[:4]
        ]
        names = list(self._loaded.labels.names) or sorted(self._found)
        names += [_ABSTAINED] if _ABSTAINED in self._found and _ABSTAINED not in names else []
        answered = self._counts["answered"]
        body = fill(
            "summary.html",
            tiles=[(count(self._counts[word]), word) for word in ("answered", "refused", "skipped")],
            found=[(name, self._found[name], self._found[name] / answered) for name in names] if self._found else [],
            heading=self._heading(),
            plots=plots,
            unverified=sorted(self._unverified.items()),
            answered=answered,
            compared=self._compared,
            novel=self._novel,
            novelty=None if self._loaded.novelty is None else self._loaded.novelty.fit,
        )
        return Section("Summary", body)

    def _heading(self) -> str:
        if self._loaded.model.task is Task.SEGMENTATION:
            return "Outlined in"
        return "Most probable label" if self._loaded.labels.exclusive else "Labels that reach their threshold"

    def _cases(self) -> list[Section]:
        made = []
        answered = self._counts["answered"]
        if self._views:
            lead = self._first(len(self._views))
            thresholds = any(bar.threshold is not None for one in self._views for bar in one.bars)
            body = fill("cases.html", views=self._views, thresholds=thresholds, inferno=INFERNO)
            made.append(Section("Cases", body, lead))
        if answered > len(self._views):
            made.append(
                Section(
                    "All answers",
                    fill("answers.html", lines=self._lines, novelty=self._loaded.novelty is not None),
                    self._first(len(self._lines)),
                )
            )
        return made

    def _first(self, shown: int) -> str:
        answered = self._counts["answered"]
        return "" if shown == answered else f"The first {count(shown)} of {count(answered)} answered cases."

    def _objections(self) -> list[Section]:
        if not self._refused and not self._skipped:
            return []
        body = fill(
            "refusals.html",
            refused=self._refused,
            skipped=self._skipped,
            more_refused=self._counts["refused"] - len(self._refused),
            more_skipped=self._counts["skipped"] - len(self._skipped),
        )
        return [Section("Not analysed", body)]

    def _samples_section(self) -> Section:
        body = fill(
            "samples.html",
            notice=NOTICE,
            sheet=data_uri(contact_sheet(self._tiles)),
            samples=self._samples,
            shown=len(self._tiles),
            total=self._counts["generated"],
        )
        return Section("Synthetic images", Markup(body))


def _reason(source: str, outcome: Refused | Skipped) -> str:
    """The reason without the name of the file, which stands beside it."""
    return outcome.reason.removeprefix(f"{source}: ")
