"""A model in service: every case answered or refused, in order, on the source's own grid."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_rescale, pixel_array
from small_models import Above, Brightness, Halves, Loudest, Slices

import medplug
from medplug.model_folder import fresh
from medplug.session import Session
from medplug.sources import from_array


def picture(path, size, value=100):
    Picture.fromarray(np.full(size, value, np.uint8)).save(path)
    return path


def test_a_ct_slice_becomes_a_result():
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    session = Session(Brightness(), device="cpu")

    [result] = session.run([get_testdata_file("CT_small.dcm")])

    hounsfield = apply_rescale(pixel_array(dataset), dataset)
    expected = np.clip((hounsfield + 160) / 400, 0, 1).mean()
    assert result.prediction.values["brightness"] == pytest.approx(expected, abs=1e-4)
    assert result.case.sop_instance_uid == dataset.SOPInstanceUID
    assert result.plan_id == session.loaded.preprocessing.plan_id


def test_results_come_in_the_order_of_the_source_whatever_their_shapes(tmp_path):
    class Any(Brightness):
        def preprocessing(self):
            return medplug.Preprocessing()

    sizes = [(20, 20), (30, 20), (20, 20), (25, 25), (30, 20), (20, 20), (25, 25)] * 3  # more than wait at once
    files = [picture(tmp_path / f"{i}.png", size, 12 * i) for i, size in enumerate(sizes)]

    results = list(Session(Any(), device="cpu", batch_size=2, workers=2).run(files))

    assert [Path(result.case.source).name for result in results] == [file.name for file in files]
    values = [result.prediction.values["brightness"] for result in results]
    assert values == pytest.approx([12 * i / 255 for i in range(len(sizes))], abs=1e-6)


def test_one_bad_file_costs_only_itself(tmp_path):
    good = tmp_path / "a.png"
    Picture.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20)).astype(np.uint8)).save(good)
    (tmp_path / "b.png").write_bytes(good.read_bytes()[:200])
    (tmp_path / "notes.txt").write_text("not an image")
    picture(tmp_path / "z.png", (20, 20))
    session = Session(Halves(), device="cpu")

    outcomes = {Path(r.case.source).name: type(r.prediction).__name__ for r in session.run(tmp_path)}

    assert outcomes == {
        "a.png": "Classification",
        "b.png": "Refused",
        "notes.txt": "Skipped",
        "z.png": "Classification",
    }


def test_the_contract_refuses_without_reading_a_pixel():
    class ChestOnly(Brightness):
        def contract(self):
            return medplug.InputContract(modality=medplug.Constraint(("DX", "CR")))

    def read():
        raise AssertionError("a pixel was read")

    image = medplug.Image((8, 8), np.dtype(np.uint8), read, modality="CT")

    [result] = Session(ChestOnly(), device="cpu").run(image)

    assert result.prediction == medplug.Refused(
        code="modality", reason="modality is CT; the model was made for DX or CR"
    )


def test_what_is_admitted_without_being_stated_is_named():
    class Strict(Brightness):
        def contract(self):
            return medplug.InputContract(
                modality=medplug.Constraint(("DX",)), body_part=medplug.Constraint(("CHEST",), absent="refuse")
            )

    pixels = np.zeros((1, 8, 8), np.uint8)
    stated = medplug.Image((8, 8), pixels.dtype, lambda: pixels, body_part="CHEST")
    silent = medplug.Image((8, 8), pixels.dtype, lambda: pixels)

    admitted, refused = Session(Strict(), device="cpu").run([stated, silent])

    assert admitted.unverified == ("modality",)
    assert refused.prediction.code == "body-part"


def test_pixels_that_mean_nothing_known_are_refused():
    [result] = Session(Halves(), device="cpu").run(np.zeros((8, 8), np.float32))

    assert result.prediction.code == "values"


def test_a_segmentation_comes_back_on_the_source_grid():
    hounsfield = np.zeros((60, 80))
    hounsfield[20:40, 30:50] = 600
    pixels = hounsfield[None].astype(np.int16)
    image = medplug.Image((60, 80), pixels.dtype, lambda: pixels, spacing=(0.5, 0.7))

    [result] = Session(Above(), device="cpu").run(image)

    assert result.prediction.mask.shape == (60, 80)
    assert result.prediction.probabilities is None
    expected = hounsfield > 300
    assert (result.prediction.mask.astype(bool) ^ expected).sum() <= 0.1 * expected.sum()
    assert np.argwhere(result.prediction.mask).mean(axis=0) == pytest.approx([29.5, 39.5], abs=0.3)


def test_a_volume_is_segmented_in_its_own_millimetres(test_data):
    session = Session(Slices(), device="cpu")

    results = list(session.run(test_data / "dicom-series" / "ct-philips-phantom-1mm"))

    answered = [result for result in results if result.answered]
    assert len(answered) == 1
    assert answered[0].prediction.mask.shape == (60, 512, 512)
    assert len(answered[0].case.files) == 60


def test_a_map_lands_on_the_pixels_that_caused_it():
    pixels = np.zeros((40, 60), np.uint8)
    pixels[30, 10] = 255

    result = Session(Loudest(), device="cpu").predict(pixels)

    assert result.prediction.score == pytest.approx(1.0)
    assert np.unravel_index(result.prediction.map.argmax(), (40, 60)) == (30, 10)


def test_an_explanation_points_at_the_half_that_decided():
    pixels = np.full((64, 48), 20, np.uint8)
    pixels[:, :24] = 220

    result = Session(Halves(), device="cpu").explain(pixels)

    assert result.explanation.label == "left"
    assert result.explanation.map.shape == (64, 48)
    assert result.explanation.map[:, :20].mean() > 5 * result.explanation.map[:, 28:].mean()
    other = Session(Halves(), device="cpu").explain(pixels, label="right")
    assert other.explanation.label == "right"


def test_asking_for_an_explanation_that_cannot_be_given_is_a_wrong_call():
    class Opaque(Halves):
        def attribution_layer(self, network):
            return None

    with pytest.raises(medplug.CallError, match="no layer for Grad-CAM"):
        Session(Opaque(), device="cpu").explain(np.zeros((8, 8), np.uint8))
    with pytest.raises(medplug.CallError, match="brightness answers with no label that could be explained"):
        Session(Brightness(), device="cpu").explain(np.zeros((8, 8), np.uint8))
    with pytest.raises(medplug.CallError, match="no label 'top'; the model has left, right"):
        Session(Halves(), device="cpu").explain(np.zeros((8, 8), np.uint8), label="top")
    with pytest.raises(medplug.CallError, match="does not generate"):
        Session(Halves(), device="cpu").generate(1)


def test_threads_may_share_a_session():
    session = Session(Halves(), device="cpu", batch_size=4)
    arrays = [from_array(np.full((20, 20), i, np.uint8), name=str(i)) for i in range(24)]
    alone = list(session.run(arrays))
    together: dict[int, list] = {}

    threads = [threading.Thread(target=lambda n=n: together.update({n: list(session.run(arrays))})) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(together[n] == alone for n in range(3))


def test_who_stops_asking_waits_for_no_image_that_is_not_begun():
    reads = []

    def slow(read):
        reads.append(read)
        time.sleep(0.05)
        return read()

    [case] = medplug.sources.read(np.zeros((8, 8), np.float32))
    [(name, image)] = case.images.items()
    cases = [replace(case, images={name: replace(image, read=partial(slow, image.read))})] * 40
    answers = Session(fresh(Loudest()), "cpu", batch_size=8, workers=1).answer(cases)

    next(answers)
    answers.close()

    assert len(reads) < 20  # one batch, and what was begun meanwhile; 33 were admitted


def test_calibration_and_thresholds_of_the_model_are_applied():
    from medplug.model_folder import Calibration, Threshold

    pixels = np.full((32, 32), 20, np.uint8)
    pixels[:, :16] = 220
    raw = Session(Halves(), device="cpu").predict(pixels).prediction
    loaded = replace(
        fresh(Halves()),
        calibration=Calibration(temperature=2.0, split="val", rows=50),
        thresholds=(
            Threshold(label="left", value=0.99999, how="youden", split="val", rows=50),
            Threshold(label="right", value=1e-6, how="youden", split="val", rows=50),
        ),
    )

    made = Session(loaded, device="cpu").predict(pixels).prediction

    logit = np.log(raw.probabilities["left"] / raw.probabilities["right"])
    assert made.probabilities["left"] == pytest.approx(1 / (1 + np.exp(-logit / 2)), rel=1e-5)
    assert raw.positive is None
    assert made.positive == ("right",)
    assert made.label == "left"


def test_an_answer_that_is_no_number_is_refused_and_costs_only_itself():
    class Divides(Brightness):
        def preprocessing(self):
            return medplug.Preprocessing()

        def decode(self, output, batch):
            values = (1 / output["output"][:, 0] - 1 / output["output"][:, 0] + 1).tolist()
            return [medplug.Regression(values={"one": value}) for value in values]

    black, grey = (np.full((9, 9), value, np.uint8) for value in (0, 100))

    session = Session(Divides(), device="cpu")
    answered, refused = session.run([from_array(grey), from_array(black)])

    assert answered.prediction.values == {"one": 1.0}
    assert refused.prediction.code == "not-finite"


def test_a_plugin_that_raises_on_one_case_costs_only_that_case():
    class Fragile(Brightness):
        def decode(self, output, batch):
            values = output["output"][:, 0].tolist()
            if any(value > 0.9 for value in values):
                raise ValueError("a bug")
            return [medplug.Regression(values={"one": value}) for value in values]

        def preprocessing(self):
            return medplug.Preprocessing()

    arrays = [from_array(np.full((9, 9), value, np.uint8), name=str(value)) for value in (10, 255, 20)]

    dark, white, grey = Session(Fragile(), device="cpu", batch_size=3).run(arrays)

    assert dark.answered
    assert grey.answered
    assert white.prediction == medplug.Refused(
        code="failed", reason="the plugin brightness failed on this image: ValueError: a bug"
    )


def refusal(model, pixels=None):
    """The one refusal of a model that breaks its contract."""
    [result] = Session(model, device="cpu").run(np.zeros((9, 9), np.uint8) if pixels is None else pixels)
    assert result.prediction.code == "failed"
    return result.prediction.reason


def test_a_plugin_that_loses_an_answer_is_refused_and_named():
    class Loses(Brightness):
        def decode(self, output, batch):
            return super().decode(output, batch)[1:]

    assert "decode gave 0 predictions for 1 cases" in refusal(Loses())


def test_a_map_of_another_shape_is_refused_instead_of_landing_elsewhere():
    class Coarse(Loudest):
        def decode(self, output, batch):
            return [medplug.Anomaly(score=0.0, map=np.zeros((4, 4), np.float32))]

    assert "(4, 4) is no map on the model's grid of (9, 9)" in refusal(Coarse())


def test_an_answer_to_another_task_is_refused():
    class Confused(Brightness):
        def decode(self, output, batch):
            return [medplug.Anomaly(score=0.0)]

    assert "gave a Anomaly; its task regression wants a Regression" in refusal(Confused())


def test_a_numpy_nan_is_no_answer_either():
    class Nan(Loudest):
        def decode(self, output, batch):
            return [medplug.Anomaly(score=np.float32("nan"))]

    [result] = Session(Nan(), device="cpu").run(np.zeros((9, 9), np.uint8))

    assert result.prediction.code == "not-finite"


def test_absurd_numbers_in_a_header_cost_only_their_own_case():
    pixels = np.zeros((1, 9, 9), np.uint8)
    meaning = medplug.ValueMeaning(rescale=(1e200, 0.0), full_range=(0.0, 255.0))
    absurd = medplug.Image((9, 9), pixels.dtype, lambda: pixels, values=meaning)

    refused, answered = Session(Halves(), device="cpu").run([absurd, pixels[0]])

    assert refused.prediction.code == "unreadable"
    assert answered.answered


def test_explaining_and_answering_at_once_in_several_threads():
    session = Session(Halves(), device="cpu")
    pixels = np.full((20, 20), 50, np.uint8)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: session.explain(pixels) if n % 2 else session.predict(pixels), range(40)))

    assert all(result.answered for result in results)


def test_the_contract_judges_the_image_that_fixes_the_grid():
    class Two(Brightness):
        def contract(self):
            return medplug.InputContract(images=("ct", "other"), modality=medplug.Constraint(("CT",)))

    pixels = np.zeros((1, 9, 9), np.uint8)
    images = {
        "other": medplug.Image((9, 9), pixels.dtype, lambda: pixels, modality="CT"),
        "ct": medplug.Image((9, 9), pixels.dtype, lambda: pixels, modality="MR"),
    }
    case = medplug.Case(medplug.CaseReference(source="pair"), images)

    assert Session(Two(), device="cpu").predict(case).prediction.code == "modality"


def test_a_device_that_is_not_there_is_a_wrong_call():
    with pytest.raises(medplug.CallError, match="no device named 'abacus'"):
        Session(Halves(), device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(medplug.CallError, match="no CUDA"):
            Session(Halves(), device="cuda")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_answers_as_the_cpu_does():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60)).astype(np.uint8)

    cpu, cuda = (Session(Halves(), device=name).predict(pixels).prediction for name in ("cpu", "cuda"))

    assert cuda.probabilities == pytest.approx(cpu.probabilities, abs=1e-5)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_out_of_memory_halves_the_batch_and_says_so():
    class Hungry(Halves):
        def forward(self, network, batch):
            # 24 GiB for each image of the batch, asked of the device for real.
            torch.empty(len(batch), 24 << 30, dtype=torch.uint8, device=batch.image.device)
            return super().forward(network, batch)

    arrays = [np.full((20, 20), i, np.uint8) for i in range(8)]

    with pytest.warns(ResourceWarning, match="halved"):
        results = list(Session(Hungry(), device="cuda", batch_size=8).run(arrays))

    assert all(result.answered for result in results)
