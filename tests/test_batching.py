"""Sources as batches: in order, each image in its place, what is refused left out, and never much in memory."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import medplug
from medplug import Preprocessing, Resize, Spacing, Stored, Window, Windows
from medplug.case import Case, CaseReference, Image
from medplug.errors import CallError, PreprocessingError, SourceError
from medplug.pipeline import Pipeline
from medplug.plan import channels_of
from medplug.preprocessing import FitPercentiles

SMALL = Preprocessing(values=Stored(), geometry=(Resize((6, 5)),))


class Counted:
    """Cases whose pixels are their number; `held` is how many have been read and not yet been given away."""

    def __init__(self):
        self.read = self.given = self.most = 0
        self.lock = threading.Lock()

    def cases(self, count, shape=lambda _: (8, 9), slow=lambda _: 0.0, broken=()):
        for number in range(count):
            yield Case(CaseReference(source=str(number)), {"image": self.image(number, shape(number), slow, broken)})

    def image(self, number, shape, slow, broken):
        def read():
            time.sleep(slow(number))
            with self.lock:
                self.read += 1
                self.most = max(self.most, self.read - self.given)
            if number in broken:
                raise SourceError("unreadable", f"{number}: is broken")
            return np.full((1, *shape), number, np.uint16)

        return Image(shape, np.dtype(np.uint16), read, stored_range=(0, 65535))


def sources_of(found):
    return [[case.source for case in batch.cases] for batch in found]


def test_batches_come_in_order_however_long_an_image_takes():
    made = Counted().cases(23, slow=lambda number: 0.02 if number % 7 == 0 else 0.0)

    found = list(medplug.batches(made, SMALL, 5, workers=4))

    assert sources_of(found) == [[str(n) for n in range(start, min(start + 5, 23))] for start in range(0, 23, 5)]
    assert [tuple(batch.image.shape) for batch in found] == [(5, 1, 6, 5)] * 4 + [(3, 1, 6, 5)]
    assert found[0].image.dtype == torch.float32
    for batch in found:
        for image, case in zip(batch.image, batch.cases, strict=True):
            assert (image == float(case.source)).all()


def test_a_batch_is_what_the_pipeline_gives():
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 4096, (40, 50), dtype=np.uint16) for _ in range(3)]

    [batch] = medplug.batches(arrays, SMALL)

    expected = [Pipeline(SMALL).prepare(medplug.from_array(array)).arrays["image"] for array in arrays]
    np.testing.assert_array_equal(batch.image.numpy(), np.stack(expected))
    assert batch.images["image"] is batch.image


def test_what_is_refused_is_left_out_and_told(tmp_path, caplog):
    (tmp_path / "notes.txt").write_text("no image")
    told = []
    made = [*Counted().cases(7, broken={0, 4}), tmp_path / "notes.txt", tmp_path / "nowhere.dcm"]

    found = list(medplug.batches(made, SMALL, 3, on_rejected=told.append))

    assert sources_of(found) == [["1", "2"], ["3", "5"], ["6"]]
    assert sorted(found[1].image[:, 0, 0, 0].tolist()) == [3, 5]
    assert sorted(one.reference.source.rsplit("/")[-1] for one in told) == ["0", "4", "notes.txt", "nowhere.dcm"]
    assert not caplog.records

    list(medplug.batches(Counted().cases(2, broken={0}), SMALL))
    assert caplog.messages == ["0 is left out: is broken"]


def test_a_batch_of_which_nothing_can_be_read_is_none():
    assert sources_of(medplug.batches(Counted().cases(4, broken={0, 1}), SMALL, 2)) == [["2", "3"]]


def test_a_batch_has_one_shape():
    as_they_are = Preprocessing(values=Stored())
    made = Counted().cases(6, shape=lambda number: (8, 9) if number < 4 else (9, 8))

    found = list(medplug.batches(made, as_they_are, 3))

    assert [tuple(batch.image.shape) for batch in found] == [(3, 1, 8, 9), (1, 1, 8, 9), (2, 1, 9, 8)]


def test_an_image_that_has_no_place_in_the_output_is_told_before_it_is_read():
    told, counted = [], Counted()
    recipe = Preprocessing(values=Stored(), geometry=(Spacing((0.5, 0.5)),))

    assert not list(medplug.batches(counted.cases(2), recipe, on_rejected=told.append))

    assert [(one.reference.source, one.outcome.code) for one in told] == [("0", "spacing"), ("1", "spacing")]
    assert counted.read == 0


def test_only_a_few_batches_are_in_memory():
    counted = Counted()

    for batch in medplug.batches(counted.cases(400), SMALL, 10, workers=4):
        time.sleep(0.002)  # a consumer slower than the source
        with counted.lock:
            counted.given += len(batch)

    assert counted.read == 400
    assert 10 < counted.most <= 40


def test_a_case_that_asks_for_too_much_costs_nothing_but_itself():
    told = []
    huge = Image((2**30, 2**30), np.dtype(np.uint16), lambda: np.zeros(1), stored_range=(0, 65535))
    as_they_are = Preprocessing(values=Stored())
    good = list(Counted().cases(2))
    bad = [Case(CaseReference(source="huge"), {"image": huge}), Case(CaseReference(source="none"), {})]
    made = [good[0], *bad, good[1]]

    found = list(medplug.batches(made, as_they_are, on_rejected=told.append))

    assert sources_of(found) == [["0"], ["1"]]
    assert [(one.reference.source, one.outcome.code) for one in told] == [
        ("none", "unreadable"),
        ("huge", "unreadable"),
    ]
    assert "needs more memory than there is" in told[1].outcome.reason


def test_an_exception_of_the_source_comes_after_what_it_gave():
    def source():
        yield from Counted().cases(5)
        raise OSError("the network is gone")

    found = medplug.batches(source(), SMALL, 2)

    assert sources_of([next(found) for _ in range(3)]) == [["0", "1"], ["2", "3"], ["4"]]
    with pytest.raises(OSError, match="the network is gone"):
        next(found)


def test_a_mask_is_not_asked_for():
    case = next(Counted().cases(1))
    broken = next(Counted().cases(1, broken={0})).image
    [batch] = medplug.batches([replace(case, mask=broken)], SMALL)

    assert len(batch) == 1


def test_who_stops_early_stops_the_threads():
    counted = Counted()
    found = medplug.batches(counted.cases(400, slow=lambda _: 0.002), SMALL, 10, workers=2)

    next(found)
    found.close()

    assert counted.read < 60
    assert not [one for one in threading.enumerate() if one.name.startswith("medplug-batch")]


@pytest.mark.parametrize("channels", ["grey", "rgb", "stored"])
def test_the_shape_is_known_before_a_pixel_is_read(channels):
    values = Windows((Window(10, 20), Window(30, 40))) if channels == "grey" else Stored()
    recipe = Preprocessing(values=values, geometry=(Resize((6, 5)),), channels=channels)
    case = next(Counted().cases(1))

    shape = Pipeline(recipe).array_shape(case)

    assert shape == Pipeline(recipe).prepare(case).shape
    assert shape[0] == channels_of(recipe, case.image) == {"grey": 2, "rgb": 3, "stored": 1}[channels]


def test_windows_of_a_colour_image_have_no_shape():
    recipe = Preprocessing(values=Windows((Window(10, 20), Window(30, 40))), channels="rgb")

    with pytest.raises(PreprocessingError, match="set channels to grey"):
        Pipeline(recipe).array_shape(next(Counted().cases(1)))


def test_calls_that_make_no_sense_are_refused_at_once():
    with pytest.raises(CallError, match="a batch of 0 cases"):
        medplug.batches([], SMALL, 0)
    with pytest.raises(CallError, match="0 workers: want at least 1"):
        medplug.batches([], SMALL, workers=0)
    with pytest.raises(PreprocessingError, match="train first, or take a model folder's"):
        medplug.batches([], Preprocessing(values=FitPercentiles(1, 99)))
    with pytest.raises(CallError, match="no device named 'gpu7'"):
        medplug.batches([], SMALL, device="gpu7")


@pytest.mark.cuda
def test_on_cuda_batches_are_copied_from_pinned_memory():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")

    [batch] = medplug.batches([np.full((8, 9), 7, np.uint16)] * 4, SMALL, device="cuda")

    assert batch.image.is_cuda
    assert (batch.image.cpu() == 7).all()


@pytest.mark.cuda
def test_on_cuda_no_batch_is_overwritten_while_the_network_reads_it():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    weight = torch.randn(4096, 4096, device="cuda")
    recipe = Preprocessing(values=Stored(), geometry=(Resize((256, 256)),))
    sums = []

    for batch in medplug.batches(Counted().cases(320), recipe, 16, device="cuda"):
        busy = weight @ weight  # long enough for the next batches to be copied meanwhile
        sums.append(batch.image.double().sum((1, 2, 3)) + 0 * busy[0, 0])

    expected = torch.arange(320, dtype=torch.float64) * 256 * 256
    assert torch.equal(torch.cat(sums).cpu(), expected)
