"""A whole run: every file in one result line, equal bytes twice, and failures that cost only themselves."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.data import get_testdata_file
from small_models import Brightness, Halves, Loudest
from torch import nn
from writers.runs import Rings

import medplug
from medplug import running
from medplug.hookspecs import hookimpl
from medplug.model_folder import fresh
from medplug.plugins import Host
from medplug.sources import read
from medplug.writers import JsonLines, Writer


class Chest(Brightness):
    """Takes chests, and CT under no other name."""

    name = "chest"

    def contract(self):
        return medplug.InputContract(modality=medplug.Constraint(("CR", "DX")))

    def preprocessing(self):
        return medplug.Preprocessing(values=medplug.Display(fallback=medplug.Full()))


@pytest.fixture
def study(tmp_path):
    """A folder that mixes what can be answered with what cannot."""
    folder = tmp_path / "study"
    folder.mkdir()
    generator = np.random.default_rng(0)
    Picture.fromarray(generator.integers(0, 256, (40, 30)).astype(np.uint8)).save(folder / "picture.png")
    content = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    (folder / "ct.dcm").write_bytes(content)
    (folder / "truncated.dcm").write_bytes(content[: len(content) // 2])
    (folder / "notes.txt").write_text("not an image")
    return folder


def lines(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_every_file_of_a_mixed_folder_stands_in_one_line(study, tmp_path):
    summary = running.run(fresh(Chest()), study, tmp_path / "out", device="cpu")

    found = {Path(line["case"]["source"]).name: line for line in lines(tmp_path / "out")}
    assert {name: line["prediction"]["type"] for name, line in found.items()} == {
        "ct.dcm": "refused",
        "notes.txt": "skipped",
        "picture.png": "regression",
        "truncated.dcm": "refused",
    }
    assert found["ct.dcm"]["prediction"]["code"] == "modality"
    assert found["picture.png"]["unverified"] == ["modality"]
    assert (summary.answered, summary.refused, summary.skipped) == (1, 2, 1)
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000


def test_two_runs_give_the_same_bytes(study, tmp_path):
    digests = []
    for name in ("first", "second"):
        running.run(fresh(Loudest()), study / "picture.png", tmp_path / name, device="cpu")
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests.append([(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files])

    assert len(digests[0]) >= 3
    assert digests[0] == digests[1]


def test_a_folder_with_something_in_it_is_not_written_into(study, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")

    with pytest.raises(medplug.CallError, match="not empty"):
        running.run(fresh(Chest()), study, tmp_path / "out", device="cpu")

    running.run(fresh(Chest()), study, tmp_path / "out", device="cpu", overwrite=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_a_run_that_overwrites_leaves_nothing_of_the_earlier_one(study, tmp_path):
    out = tmp_path / "out"
    running.run(fresh(Loudest()), study, out, device="cpu")
    (out / "arrays" / "mine.npy").write_bytes(b"keep")
    assert (out / "report.html").exists()
    assert len(list((out / "arrays").iterdir())) > 1

    running.run(fresh(Loudest()), study, out, write=("html",), device="cpu", overwrite=True)

    assert sorted(path.name for path in out.iterdir()) == ["arrays", "report.html"]
    assert [path.name for path in (out / "arrays").iterdir()] == ["mine.npy"]

    running.run(fresh(Loudest()), study / "notes.txt", out, write=("json",), device="cpu", overwrite=True)

    assert sorted(path.name for path in out.iterdir()) == ["arrays", "results.jsonl"]


def test_a_run_that_fails_while_it_overwrites_leaves_nothing_stale_either(study, tmp_path):
    out = tmp_path / "out"
    running.run(fresh(Chest()), study, out, device="cpu")

    def stop(answer):
        raise RuntimeError("pulled the plug")

    with pytest.raises(RuntimeError, match="pulled the plug"):
        running.run(fresh(Chest()), study, out, write=("json",), device="cpu", overwrite=True, on_answer=stop)

    assert [path.name for path in out.iterdir()] == ["results.jsonl"]
    assert len(lines(out)) == 1


def test_files_that_no_earlier_run_of_such_a_model_wrote_stay(study, tmp_path):
    """A classifier never wrote images/000001.png: whoever did may be analysing it."""
    (study / "images").mkdir()
    (study / "picture.png").rename(study / "images" / "000001.png")

    running.run(fresh(Chest()), study / "images", study, write=("json",), device="cpu", overwrite=True)

    assert (study / "images" / "000001.png").exists()


class Longer(JsonLines):
    """A stranger's, that inherits what it clears."""

    name = "longer"


def test_what_a_run_wrote_is_not_cleared_by_a_writer_that_shares_its_name(study, tmp_path, monkeypatch):
    monkeypatch.setattr(Host, "writers", lambda self: (Longer,))
    for _ in range(2):
        running.run(fresh(Chest()), study, tmp_path / "out", write=("json",), device="cpu", overwrite=True)

    assert len(lines(tmp_path / "out")) == 4


def test_a_writer_that_cannot_clear_is_named_and_costs_no_result(study, tmp_path, monkeypatch):
    class Stuck(Breaks):
        @classmethod
        def clear(cls, folder):
            raise PermissionError("read-only")

    monkeypatch.setattr(Host, "writers", lambda self: (Stuck,))

    with pytest.raises(medplug.WriterError, match="'breaks' failed to remove an earlier run's files: read-only"):
        running.run(fresh(Chest()), study, tmp_path / "out", write=("json",), device="cpu", overwrite=True)

    assert len(lines(tmp_path / "out")) == 4


def test_a_wrong_call_leaves_an_earlier_runs_results(study, tmp_path):
    running.run(fresh(Chest()), study, tmp_path / "out", write=("json",), device="cpu")

    with pytest.raises(medplug.CallError, match="png"):
        running.run(fresh(Chest()), study, tmp_path / "out", write=("json", "png"), device="cpu", overwrite=True)

    assert len(lines(tmp_path / "out")) == 4


def test_results_below_the_source_are_no_source(study):
    for _ in range(2):
        summary = running.run(fresh(Loudest()), study, study / "deep" / "results", device="cpu", overwrite=True)

        assert (summary.answered, summary.refused, summary.skipped) == (1, 2, 1)


@pytest.mark.parametrize(
    ("source", "output", "write", "message"),
    [
        ("", "out", ["json"], "a source is an empty path"),
        ("picture.png", "picture.png/out", ["json"], r"picture\.png is a file; name a folder for the results"),
        ("picture.png", "out", [], "no writer is named; for loudest there are .*html"),
    ],
)
def test_a_call_that_names_nothing_is_wrong(study, monkeypatch, source, output, write, message):
    monkeypatch.chdir(study)

    with pytest.raises(medplug.CallError, match=message):
        running.run(fresh(Loudest()), source, output, device="cpu", write=write)

    assert not (study / "out" / "results.jsonl").exists()


def test_an_unknown_writer_is_named_before_anything_is_done(study, tmp_path):
    with pytest.raises(medplug.CallError, match=r"no writer named 'pdf'; for chest there are .*html"):
        running.run(fresh(Chest()), study, tmp_path / "out", write=("json", "pdf"), device="cpu")
    assert not (tmp_path / "out").exists()


class Breaks(Writer):
    """Fails at the second answer."""

    name = "breaks"

    def __init__(self, folder, loaded):
        super().__init__(folder, loaded)
        self.count = 0

    def write(self, answer):
        self.count += 1
        (self.folder / "breaks.part").write_text("half")
        if self.count == 2:
            raise ValueError("no space for a second")

    def close(self):
        raise AssertionError("a writer that failed is not closed")

    def discard(self):
        (self.folder / "breaks.part").unlink()


def test_a_writer_that_fails_costs_only_its_own_files(study, tmp_path, monkeypatch):
    monkeypatch.setattr(Host, "writers", lambda self: (Breaks,))

    with pytest.raises(medplug.WriterError, match="the writer 'breaks' failed: no space for a second"):
        running.run(fresh(Chest()), study, tmp_path / "out", write=("json", "breaks"), device="cpu")

    assert len(lines(tmp_path / "out")) == 4
    assert not (tmp_path / "out" / "breaks.part").exists()


def test_a_run_that_fails_keeps_what_was_answered(study, tmp_path):
    heard = []

    def stop(answer):
        heard.append(answer)
        if len(heard) == 3:
            raise RuntimeError("pulled the plug")

    with pytest.raises(RuntimeError, match="pulled the plug"):
        running.run(fresh(Chest()), study, tmp_path / "out", device="cpu", on_answer=stop)

    assert len(lines(tmp_path / "out")) == 3
    assert not [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name]


def test_observers_are_told_of_a_run(study, tmp_path, monkeypatch):
    heard = []

    class Observer:
        @hookimpl
        def medplug_run_started(self, model, sources):
            heard.append((model, sources))

        @hookimpl
        def medplug_case_done(self, result):
            heard.append(result.case.source)

        @hookimpl
        def medplug_run_finished(self, model, answered, refused, skipped):
            heard.append((answered, refused, skipped))

    host = running.discover()
    host._plugins.register(Observer())
    monkeypatch.setattr(running, "discover", lambda: host)

    running.run(fresh(Chest()), [study / "picture.png"], tmp_path / "out", device="cpu")

    assert heard == [("chest", (str(study / "picture.png"),)), str(study / "picture.png"), (1, 0, 0)]


def test_a_preview_says_what_a_run_would_do_without_a_network(study):
    found = {
        Path(one.reference.source).name: (type(one.outcome).__name__, one.shape)
        for one in running.preview(fresh(Chest()), study)
    }

    assert found["picture.png"] == ("NoneType", (40, 30))
    assert found["ct.dcm"] == ("Refused", ())
    assert found["notes.txt"] == ("Skipped", ())


def test_a_preview_passes_over_earlier_results_and_refuses_a_generator(study):
    running.run(fresh(Loudest()), study, study / "results", device="cpu")

    found = [one.reference.source for one in running.preview(fresh(Loudest()), study, output=study / "results")]

    assert len(found) == 4
    with pytest.raises(medplug.CallError, match="generates images and takes none: use generate"):
        running.preview(fresh(Rings()), study)


def test_a_strangers_source_that_raises_is_passed_over(study, caplog):
    class Raises:
        def accepts(self, source):
            raise ValueError("a bug")

        def read(self, source, unit):
            raise AssertionError("it accepted nothing")

    [case] = read(study / "picture.png", extra=[Raises()])

    assert case.image.shape == (40, 30)
    assert "Raises.accepts raised" in caplog.text


class Volumes(Brightness):
    """Takes series."""

    name = "volumes"

    def contract(self):
        return medplug.InputContract(unit=medplug.Unit.SERIES, dimensions=3)

    def preprocessing(self):
        window = medplug.Window(center=1000, width=2000)
        return medplug.Preprocessing(values=window, geometry=(medplug.Resize((8, 8, 8)),))

    def build(self):
        return nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten())


@pytest.fixture
def tilted(tmp_path):
    """Six slices of a gantry that is tilted by 20 degrees, at uneven distances, and a scout across them."""
    dataset = dcmread(get_testdata_file("CT_small.dcm", download=False))
    folder = tmp_path / "tilted"
    folder.mkdir()
    for index, place in enumerate((0, 5, 10, 12.5, 15, 20, None)):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{index + 1}"
        if place is None:
            dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        else:
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 0.9396926, -0.3420201]
            dataset.ImagePositionPatient = [-40, -40, place]
        dataset.save_as(folder / f"{index}.dcm")
    return folder


def test_a_tilted_series_is_refused_or_corrected_and_its_scout_skipped_either_way(tilted, tmp_path):
    for tilt, kind in (("refuse", "refused"), ("correct", "regression")):
        previews = list(running.preview(fresh(Volumes()), tilted, tilt=tilt))
        running.run(fresh(Volumes()), tilted, tmp_path / tilt, write=("json",), device="cpu", tilt=tilt)

        volume, scout = lines(tmp_path / tilt)
        assert volume["prediction"]["type"] == kind
        assert volume["case"].get("resampled", False) == (tilt == "correct")
        assert scout["prediction"]["type"] == "skipped"
        assert "it crosses the other slices" in scout["prediction"]["reason"]
        assert [preview.outcome is None for preview in previews] == [tilt == "correct", False]


def test_a_run_leaves_out_what_is_not_selected(tilted, tmp_path):
    selection = medplug.Selection(min_slices=100)

    summary = running.run(
        fresh(Volumes()), tilted, tmp_path / "out", write=("json",), device="cpu", tilt="correct", select=selection
    )

    assert (summary.answered, summary.refused, summary.skipped) == (0, 0, 2)
    assert (
        "is left out: it has 9 slices; at least 100 are selected" in lines(tmp_path / "out")[0]["prediction"]["reason"]
    )


def test_a_map_of_where_a_classifier_looked_takes_an_explanation(tmp_path):
    Picture.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")

    with pytest.raises(medplug.CallError, match="dicom-map writes where the model looked: add --explain"):
        running.run(fresh(Halves()), tmp_path / "a.png", tmp_path / "out", write=("dicom-map",), device="cpu")

    assert not (tmp_path / "out").exists()
