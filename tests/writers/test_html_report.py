"""The report of a run: complete, safe, bounded, and the same bytes each time."""

import base64
import gc
import hashlib
import re
import weakref
from dataclasses import replace as changed

import numpy as np
import pytest
from msgspec.structs import replace
from pydicom.data import get_testdata_file
from writers.pages import Page
from writers.runs import Above, Brightness, Halves, Loudest, Rings, answers, mixed_folder, write

import medplug
from medplug.model_folder import Calibration, Threshold, fresh
from medplug.session import Answer, Session
from medplug.sources import from_array
from medplug.writers import HtmlReport, html_run

HOSTILE = "<script>document.title='pwned'</script>{{ 7 * 7 }}%s\"><img src=x onerror=alert(1)>"

KINDS = {
    "classification": lambda tmp: answers(Halves(), str(mixed_folder(tmp / "in")), explanations=True),
    "anomaly": lambda tmp: answers(Loudest(), str(mixed_folder(tmp / "in"))),
    "segmentation": lambda tmp: answers(Above(), get_testdata_file("CT_small.dcm")),
    "regression": lambda tmp: answers(Brightness(), str(mixed_folder(tmp / "in"))),
    "generation": lambda tmp: answers(Rings(), 3),
}


def report(folder, session, found, **options):
    write(HtmlReport, folder, session, found, **options)
    return Page(folder / "report.html")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_a_report_can_run_or_load(tmp_path, kind):
    page = report(tmp_path / "out", *KINDS[kind](tmp_path))

    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    addresses = [value for _, name, value in page.attributes if name in ("href", "src", "xlink:href")]
    assert addresses
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in addresses)
    [policy] = [v for v in page.values("meta", "content") if v.startswith("default-src")]
    style = re.search(r"<style>(.*?)</style>", page.source, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_says_what_it_is_not_for(tmp_path, kind):
    page = report(tmp_path / "out", *KINDS[kind](tmp_path))

    assert page.text.count("Not for diagnosis") == 2


def test_hostile_names_are_text(tmp_path):
    model = Halves(labels=medplug.Labels(names=(f"left{HOSTILE}", "right")))
    image = changed(from_array(np.full((8, 8), 9, np.uint8)).image, body_part=HOSTILE)
    case = medplug.Case(medplug.CaseReference(source=HOSTILE), {"image": image})
    session, found = answers(model, case, explanations=True)
    rejected = replace(found[0].result, prediction=medplug.Refused(code="values", reason=HOSTILE))
    skipped = replace(found[0].result, prediction=medplug.Skipped(reason=HOSTILE))

    page = report(tmp_path, session, [*found, Answer(None, rejected), Answer(None, skipped)])

    assert "<script" not in page.source
    assert "<img" not in page.source
    assert page.text.count(HOSTILE) >= 8  # label, explanation, source, body part; refused and skipped with reasons
    assert "49%s" not in page.text


def test_every_source_stands_in_the_report(tmp_path):
    folder = mixed_folder(tmp_path / "in")
    session, found = answers(Halves(), [str(folder), str(tmp_path / "absent.dcm")])

    page = report(tmp_path / "out", session, found)

    assert "6 sources: 3 answered, 2 refused, 1 skipped." in page.text
    for name in ("0000.png", "0001.png", "0002.png", "broken.png", "notes.txt", "absent.dcm"):
        assert page.text.count(str(tmp_path / ("" if name == "absent.dcm" else "in") / name)) == 1
    refusal = next(answer.result.prediction for answer in found if answer.result.refused)
    assert refusal.code in page.text


def test_what_the_source_did_not_state_is_flagged(tmp_path):
    class Chest(Halves):
        def contract(self):
            return medplug.InputContract(body_part=medplug.Constraint(("CHEST",)))

    page = report(tmp_path / "out", *answers(Chest(), np.zeros((8, 8), np.uint8)))

    assert "unverified: body part" in page.text
    assert "body part in 1 of 1." in page.text
    assert "CHEST admitted, marked unverified" in page.text


def test_operating_points_stand_with_their_provenance(tmp_path):
    threshold = Threshold(
        label="left", value=0.625, how="90 % specificity", split="val", rows=412, sensitivity=0.8, specificity=0.9
    )
    calibration = Calibration(temperature=1.5, split="val", rows=412)
    loaded = changed(fresh(Halves()), thresholds=(threshold,), calibration=calibration)
    session = Session(loaded, device="cpu")
    bright_left = np.repeat(np.linspace(255, 0, 32).astype(np.uint8)[None], 32, axis=0)

    page = report(tmp_path, session, list(session.answers(bright_left)))

    assert "left 0.625 90 % specificity 412 rows of val 80.0 % 90.0 %" in page.text
    assert "divided by 1.5, fitted on 412 rows of val" in page.text
    assert "reaches its threshold: left" in page.text
    assert page.values("rect", "x") == ["62.10"]  # the tick on the bar, 0.8 wide


def test_a_most_probable_label_below_its_threshold_is_not_shown_like_one_that_reaches_it(tmp_path):
    threshold = Threshold(
        label="left", value=0.999, how="youden", split="val", rows=412, sensitivity=0.8, specificity=0.9
    )
    bright_left = np.repeat(np.linspace(255, 0, 32).astype(np.uint8)[None], 32, axis=0)

    pages = {}
    for name, thresholds in (("high", (threshold,)), ("none", ())):
        session = Session(changed(fresh(Halves()), thresholds=thresholds), device="cpu")
        pages[name] = report(tmp_path / name, session, list(session.answers(bright_left)))

    assert "no label reaches its threshold" in pages["high"].text
    assert "reaches its threshold" not in pages["none"].text


@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_give_the_same_bytes(tmp_path, kind):
    one = report(tmp_path / "a", *KINDS[kind](tmp_path))
    other = report(tmp_path / "b", *KINDS[kind](tmp_path))

    assert one.source == other.source


def test_a_long_run_shows_its_first_cases_and_lists_all(tmp_path):
    session, found = answers(Loudest(), [np.full((64, 64), i, np.uint8) for i in range(200)])

    page = report(tmp_path, session, found, pictures=5)

    assert page.tags.count("article") == 5
    assert "The first 5 of 200 answered cases." in page.text
    assert page.tags.count("tr") >= 200
    assert len(page.source) < 120_000


def test_pictures_end_when_they_weigh_too_much(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (10, 256, 256)).astype(np.uint8)
    monkeypatch.setattr(html_run, "PICTURE_BYTES", 200_000)
    session, found = answers(Brightness(), list(noise))

    page = report(tmp_path, session, found)

    assert page.tags.count("article") == 3  # each is about 87 kB as text
    assert "The first 3 of 10 answered cases." in page.text


def test_the_report_keeps_no_pixels(tmp_path):
    session, [answer] = answers(Loudest(), np.zeros((64, 64), np.uint8))
    pixels = weakref.ref(answer.result.prediction.map)
    writer = HtmlReport(tmp_path, session.loaded)

    writer.write(answer)
    del answer
    gc.collect()

    assert pixels() is None
    writer.close()


def test_generated_images_are_marked_and_have_their_seeds(tmp_path):
    page = report(tmp_path, *answers(Rings(), 3))

    assert "SYNTHETIC IMAGE - NOT A PATIENT" in page.text
    assert "3 synthetic images. They show no patient." in page.text
    assert all(f"image {index} seed 7" in page.text for index in range(3))
    assert len(page.pictures) == 4


def test_an_image_that_cannot_be_shown_costs_only_its_picture(tmp_path):
    def gone():
        raise medplug.SourceError("unreadable", "the file went away")

    session, [answer] = answers(Brightness(), np.zeros((8, 8), np.uint8))
    case = medplug.Case(answer.case.reference, {"image": changed(answer.case.image, read=gone)})

    page = report(tmp_path, session, [Answer(case, answer.result)])

    assert "No picture: the file went away" in page.text
    assert page.pictures == []


def test_numbers_that_are_not_finite_do_not_stop_a_report(tmp_path):
    session, [answer] = answers(Loudest(), np.zeros((8, 8), np.uint8))
    broken = medplug.Anomaly(score=float("nan"), map=np.full((8, 8), np.nan, np.float32))

    page = report(tmp_path, session, [Answer(answer.case, replace(answer.result, prediction=broken))])

    assert "score nan" in page.text


def test_a_run_without_any_source_has_a_report(tmp_path):
    session, _ = answers(Halves(), np.zeros((8, 8), np.uint8))

    page = report(tmp_path, session, [])

    assert "0 sources: 0 answered, 0 refused, 0 skipped." in page.text


def test_nothing_is_visible_after_an_error(tmp_path):
    session, found = answers(Halves(), np.zeros((8, 8), np.uint8))

    def break_off():
        with HtmlReport(tmp_path, session.loaded) as writer:
            writer.write(found[0])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        break_off()

    assert list(tmp_path.iterdir()) == []
