"""The synthetic radiographs look, read and behave like the data set that the demo says they are."""

import csv
import shutil
import subprocess
import time

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from medplug.demo.dataset import NOTICE, SCANNERS, exposures, write_dataset
from medplug.demo.phantom import FINDINGS, Anatomy, Technique, render

SMALL = 12


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small data set on disk: its folder and its plan."""
    folder = tmp_path_factory.mktemp("phantom")
    write_dataset(folder, patients=SMALL, seed=3)
    return folder, exposures(SMALL, seed=3)


@pytest.fixture(scope="module")
def drawn():
    """One exposure of each patient of a larger data set, drawn."""
    first = {e.patient: e for e in reversed(exposures(66, seed=1))}
    return [(e, e.render()) for e in first.values()]


def auc(positive, negative):
    """The chance that a positive ranks above a negative."""
    positive, negative = np.asarray(positive)[:, None], np.asarray(negative)[None]
    return float(((positive > negative) + 0.5 * (positive == negative)).mean())


def as_a_person_sees_it(dataset):
    """Grey values 0 (black) to 1 (white) through modality LUT, window and MONOCHROME1, by pydicom's own functions."""
    modality = apply_modality_lut(dataset.pixel_array, dataset)
    shown = apply_voi_lut(modality, dataset).astype(float)
    low, high = (apply_modality_lut(np.array([v]), dataset)[0] for v in (0, 2**dataset.BitsStored - 1))
    grey = (shown - low) / (high - low)
    return 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(written, tmp_path):
    folder, _ = written
    write_dataset(tmp_path / "again", patients=SMALL, seed=3)
    write_dataset(tmp_path / "other", patients=SMALL, seed=4)

    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    assert (folder / "images/0001.dcm").read_bytes() != (tmp_path / "other/images/0001.dcm").read_bytes()


def test_the_manifest_names_every_file_with_its_label_patient_split_and_scanner(written):
    folder, planned = written
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert list(rows[0]) == ["file", "label", "patient", "split", "scanner"]
    assert {r["file"] for r in rows} == {f"images/{p.name}" for p in (folder / "images").iterdir()}
    assert [r["label"] for r in rows] == [e.label for e in planned]
    for row in rows:
        header = pydicom.dcmread(folder / row["file"], stop_before_pixels=True)
        assert (header.PatientID, header.ManufacturerModelName) == (row["patient"], row["scanner"])


def test_a_patient_has_one_split_one_label_and_at_most_three_images():
    for patient in (planned := exposures()) and {e.patient for e in planned}:
        rows = [e for e in planned if e.patient == patient]
        assert 1 <= len(rows) <= 3
        assert len({(e.split, e.label, e.scanner, e.anatomy) for e in rows}) == 1


def test_splits_are_stratified_and_labels_and_scanners_are_balanced():
    patients = {e.patient: e for e in exposures()}.values()

    for label in FINDINGS:
        splits = [e.split for e in patients if e.label == label]
        assert len(splits) == 30
        assert splits.count("train") == pytest.approx(19.5, abs=1)
        assert splits.count("val") == pytest.approx(4.5, abs=1)
        assert splits.count("test") == 6
        for scanner in SCANNERS:
            assert [e.scanner for e in patients if e.label == label].count(scanner) in (7, 8)


def test_too_few_patients_are_refused_with_the_number_that_suffices():
    with pytest.raises(ValueError, match="at least 9"):
        exposures(8)


def test_an_unknown_finding_is_refused_with_the_known_ones():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="normal, pneumonia, tuberculosis"):
        render(rng, "covid", Anatomy.sample(rng))


def test_every_file_shows_what_was_drawn(written):
    folder, planned = written
    assert {e.scanner for e in planned} == set(SCANNERS)
    for exposure in planned:
        dataset = pydicom.dcmread(folder / exposure.file)
        drawn = exposure.render()

        shown = as_a_person_sees_it(dataset)

        step = 1 / abs(exposure.scanner.white - exposure.scanner.black)
        assert shown.shape == exposure.scanner.technique.matrix
        assert np.abs(shown - drawn.image).max() <= step, exposure.scanner.name
        lungs = drawn.lungs & ~drawn.lesion
        belly = np.s_[int(0.9 * shown.shape[0]) : int(0.96 * shown.shape[0]), shown.shape[1] // 3 : shown.shape[1] // 2]
        assert shown[lungs].mean() < shown[belly].mean() - 0.15, "lungs are dark, the abdomen is bright"


def test_every_file_says_that_it_is_synthetic(written):
    folder, planned = written
    for exposure in planned:
        header = pydicom.dcmread(folder / exposure.file, stop_before_pixels=True)
        assert str(header.PatientName).startswith("SYNTHETIC^PHANTOM ")
        assert header.PatientID.startswith("SYNTHETIC-")
        assert header.Manufacturer == "medplug phantom"
        assert header.SeriesDescription == header.ImageComments == header.DerivationDescription == NOTICE
        assert header.BurnedInAnnotation == "NO"
        assert header.BodyPartExamined == "CHEST"


def test_the_scanners_store_their_pixels_differently(written):
    folder, planned = written
    kinds = set()
    for exposure in {e.scanner: e for e in planned}.values():
        header = pydicom.dcmread(folder / exposure.file, stop_before_pixels=True)
        kinds.add(
            (
                header.Modality,
                header.PhotometricInterpretation,
                header.BitsStored,
                header.file_meta.TransferSyntaxUID.is_compressed,
            )
        )
    assert kinds == {
        ("CR", "MONOCHROME1", 10, False),
        ("DX", "MONOCHROME2", 12, False),
        ("CR", "MONOCHROME2", 14, False),
        ("DX", "MONOCHROME2", 12, True),
    }


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian's dicom3tools) is not installed")
def test_dciodvfy_finds_no_error_in_the_files_of_any_scanner(written):
    folder, planned = written
    for exposure in {e.scanner: e for e in planned}.values():
        report = subprocess.run(["dciodvfy", folder / exposure.file], capture_output=True, text=True, check=False)
        errors = [line for line in (report.stdout + report.stderr).splitlines() if line.startswith("Error")]
        assert not errors, (exposure.scanner.name, errors)


def test_lesions_lie_in_the_lungs_and_only_the_sick_have_them(drawn):
    for exposure, radiograph in drawn:
        assert not (radiograph.lesion & ~radiograph.lungs).any()
        assert 0.1 < radiograph.lungs.mean() < 0.5
        share = radiograph.lesion.sum() / radiograph.lungs.sum()
        if exposure.label == "normal":
            assert share == 0
        else:
            assert 0.001 < share < 0.6, (exposure.number, exposure.label)


def test_pneumonia_lies_low_and_tuberculosis_lies_high(drawn):
    def height(radiograph):
        rows = np.nonzero(radiograph.lungs)[0]
        return (np.nonzero(radiograph.lesion)[0].mean() - rows.min()) / np.ptp(rows)

    low = [height(r) for e, r in drawn if e.label == "pneumonia"]
    high = [height(r) for e, r in drawn if e.label == "tuberculosis"]

    assert np.median(low) > np.median(high) + 0.2
    assert auc(low, high) > 0.9


def test_a_lesion_is_brighter_than_the_same_place_in_the_healthy(drawn):
    def excess(radiograph, place):
        """How much brighter a place is than the lungs on the whole."""
        return radiograph.image[place & radiograph.lungs].mean() - radiograph.image[radiograph.lungs].mean()

    solid = [(e, r) for e, r in drawn if e.label == "pneumonia"]
    gains = []
    for exposure, radiograph in solid:
        healthy = [r for e, r in drawn if e.label == "normal" and e.scanner == exposure.scanner]
        usual = np.mean([excess(r, radiograph.lesion) for r in healthy])
        gains.append(excess(radiograph, radiograph.lesion) - usual)

    assert np.mean(np.array(gains) > 0) > 0.85
    assert np.median(gains) > 0.03


def test_tuberculosis_makes_the_upper_zones_uneven(drawn):
    def roughness(radiograph):
        """The spread of the grey values in the upper 2 fifths of the lungs, at a scale of several millimetres."""
        rows = np.nonzero(radiograph.lungs)[0]
        upper = radiograph.lungs.copy()
        upper[rows.min() + int(0.4 * np.ptp(rows)) :] = False
        block = [a[: a.shape[0] // 6 * 6, : a.shape[1] // 6 * 6] for a in (radiograph.image, upper)]
        image, inside = (a.reshape(a.shape[0] // 6, 6, -1, 6).mean((1, 3)) for a in block)
        steps = np.abs(np.diff(image, axis=1))[(inside[:, 1:] == 1) & (inside[:, :-1] == 1)]
        return np.quantile(steps, 0.9)

    rough = {label: [roughness(r) for e, r in drawn if e.label == label] for label in FINDINGS}

    assert auc(rough["tuberculosis"], rough["normal"]) > 0.7


def test_the_mean_grey_value_does_not_give_the_finding_away(drawn):
    mean = {label: [r.image.mean() for e, r in drawn if e.label == label] for label in FINDINGS}

    for one, other in [(0, 1), (0, 2), (1, 2)]:
        score = auc(mean[FINDINGS[one]], mean[FINDINGS[other]])
        assert max(score, 1 - score) < 0.75, (FINDINGS[one], FINDINGS[other])


def test_two_radiographs_of_one_patient_look_alike_and_of_two_do_not():
    one, other = (Anatomy.sample(np.random.default_rng(seed)) for seed in (1, 2))
    still = Technique(noise=0.0, border=0.0)

    def lungs(anatomy, seed):
        return render(np.random.default_rng(seed), "normal", anatomy, still).lungs

    def overlap(a, b):
        """The best Dice overlap over small shifts, for the patient never stands twice in one place."""
        shifts = [(r, c) for r in range(-24, 25, 4) for c in range(-24, 25, 4)]
        return max(2 * (a & np.roll(b, s, (0, 1))).sum() / (a.sum() + b.sum()) for s in shifts)

    assert overlap(lungs(one, 5), lungs(one, 6)) > overlap(lungs(one, 5), lungs(other, 6)) + 0.01


def test_a_radiograph_is_drawn_in_a_fraction_of_a_second():
    anatomy = Anatomy.sample(np.random.default_rng(0))
    started = time.process_time()
    for seed in range(6):
        render(np.random.default_rng(seed), FINDINGS[seed % 3], anatomy)
    assert (time.process_time() - started) / 6 < 0.4
