"""The pipeline lets the kernel read a DICOM file's pixels by itself, and nothing but the time tells the difference."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medplug import from_array, sources
from medplug.case import FileSpan, Unit
from medplug.errors import SourceError
from medplug.pipeline import Pipeline
from medplug.preprocessing import (
    Display,
    Full,
    Normalize,
    Percentiles,
    Preprocessing,
    Resize,
    Rotate,
    Spacing,
    Stored,
    Window,
    Windows,
)
from medplug.sources.dicom_pixels import PixelReader

WINDOW = Window(2000, 3000)
SMALL = (Resize((40, 30)),)


@pytest.fixture
def reads(monkeypatch):
    """The frames that were read into memory."""
    found = []
    read = PixelReader.__call__

    def counted(self):
        found.append(self.frame)
        return read(self)

    monkeypatch.setattr(PixelReader, "__call__", counted)
    return found


@pytest.fixture
def radiograph(write_dicom):
    def write(name="a.dcm", **elements):
        pixels = np.random.default_rng(0).integers(0, 2**16, (200, 120), np.uint16)
        how = {"BitsStored": 12, "HighBit": 11, "PixelSpacing": [0.5, 0.5], "Modality": "CR"}
        return write_dicom(name, pixels, **(how | elements))

    return write


def arrays(recipe, path, unit=Unit.INSTANCE):
    return [Pipeline(recipe).prepare(case).arrays["image"] for case in sources.read(path, unit)]


def from_memory(recipe, path, unit=Unit.INSTANCE):
    found = []
    for case in sources.read(path, unit):
        pixels = case.image.read()
        held = replace(case.image, read=lambda pixels=pixels: pixels)
        found.append(Pipeline(recipe).prepare(replace(case, images={"image": held})).arrays["image"])
    return found


@pytest.mark.parametrize(
    "recipe",
    [
        Preprocessing(values=WINDOW, geometry=SMALL),
        Preprocessing(values=Full(), geometry=SMALL, normalize=Normalize((0.5,), (0.25,))),
        Preprocessing(values=Display(fallback=Full()), geometry=(Spacing((1.7, 0.9)),)),
        Preprocessing(values=WINDOW, geometry=(Resize((64, 64), fit="pad"),), order="geometry-first"),
    ],
    ids=["window", "full range", "spacing", "geometry first"],
)
def test_an_image_is_made_without_being_read(radiograph, reads, recipe):
    path = radiograph()
    expected = from_memory(recipe, path)
    straight = recipe.order == "values-first"
    reads.clear()

    made = arrays(recipe, path)

    np.testing.assert_array_equal(made, expected)
    assert bool(reads) is not straight


@pytest.mark.parametrize(
    "recipe",
    [
        Preprocessing(values=Percentiles(1, 99), geometry=SMALL),
        Preprocessing(values=Display(fallback=Percentiles(1, 99)), geometry=SMALL),
        Preprocessing(values=Stored(), geometry=SMALL),
        Preprocessing(values=WINDOW, geometry=(Rotate(20), *SMALL)),
        Preprocessing(values=Windows((WINDOW, Window(100, 200))), geometry=SMALL),
        Preprocessing(values=WINDOW, geometry=SMALL, channels="rgb"),
    ],
    ids=["percentiles", "display by percentiles", "stored", "turned", "two windows", "three channels"],
)
def test_what_needs_all_of_the_image_reads_it_once(radiograph, reads, recipe):
    path = radiograph()
    expected = from_memory(recipe, path)
    reads.clear()

    np.testing.assert_array_equal(arrays(recipe, path), expected)
    assert reads == [None]


def test_a_stated_window_needs_no_percentiles(radiograph, reads):
    path = radiograph(WindowCenter=2000, WindowWidth=3000)

    arrays(Preprocessing(values=Display(fallback=Percentiles(1, 99)), geometry=SMALL), path)

    assert not reads


def test_frames_and_volumes_lie_where_they_lie(write_dicom, reads):
    pixels = np.random.default_rng(0).integers(-2000, 2000, (5, 60, 50), np.int16)
    path = write_dicom("a.dcm", pixels, NumberOfFrames=5)
    flat = Preprocessing(values=Window(40, 400), geometry=(Resize((20, 20)),))
    deep = Preprocessing(values=Window(40, 400), geometry=(Resize((5, 60, 25)),), filter="linear")
    expected = [Pipeline(flat).prepare(from_array(frame)).arrays["image"] for frame in pixels]
    whole = Pipeline(deep).prepare(from_array(pixels, dims=3)).arrays["image"]

    np.testing.assert_array_equal(arrays(flat, path, Unit.FRAME), expected)
    np.testing.assert_array_equal(arrays(deep, path), [whole])
    assert not reads


def test_a_file_that_has_changed_is_read_anew(radiograph, reads):
    path = radiograph()
    [case] = sources.read(path)
    radiograph(PixelData=np.full((200, 120), 3500, np.uint16).tobytes(), PatientID="somebody else of a longer name")

    made = Pipeline(Preprocessing(values=WINDOW, geometry=SMALL)).prepare(case).arrays["image"]

    np.testing.assert_allclose(made, 1)
    assert reads == [None]


@pytest.mark.parametrize("change", ["cut short", "gone", "no longer for us"])
def test_a_file_that_was_spoilt_is_refused_by_name(radiograph, change):
    path = radiograph()
    [case] = sources.read(path)
    if change == "cut short":
        path.write_bytes(path.read_bytes()[:-6])
    else:
        path.unlink()
        if change == "no longer for us":
            path.mkdir()

    with pytest.raises(SourceError, match=r"a\.dcm"):
        Pipeline(Preprocessing(values=WINDOW, geometry=SMALL)).prepare(case)


def test_an_image_whose_reader_was_replaced_is_read_by_that(radiograph):
    [case] = sources.read(radiograph())
    white = np.full((1, 200, 120), 4000, np.uint16)
    image = replace(case.image, read=lambda: white)

    made = Pipeline(Preprocessing(values=WINDOW, geometry=SMALL)).prepare(replace(case, images={"image": image}))

    np.testing.assert_allclose(made.arrays["image"], 1)


def test_a_wrapped_reader_is_called(radiograph):
    """It has the attributes of what it wraps, and gives other pixels: burned-in words masked, say."""
    [case] = sources.read(radiograph())

    @functools.wraps(case.image.read)
    def white():
        return np.full((1, 200, 120), 4000, np.uint16)

    image = replace(case.image, read=white)
    made = Pipeline(Preprocessing(values=WINDOW, geometry=SMALL)).prepare(replace(case, images={"image": image}))

    np.testing.assert_allclose(made.arrays["image"], 1)


def test_an_image_that_declares_another_type_is_refused(radiograph):
    [case] = sources.read(radiograph())
    image = replace(case.image, dtype=np.dtype(np.int16))

    with pytest.raises(SourceError, match=r"a\.dcm: decodes to uint16 of .* not what it declares: int16"):
        Pipeline(Preprocessing(values=WINDOW, geometry=SMALL)).prepare(replace(case, images={"image": image}))


@pytest.mark.parametrize("dtype", [">u2", "f4", "i4"])
def test_a_span_of_what_the_kernel_does_not_read_is_none(dtype):
    with pytest.raises(ValueError, match=r"a\.dcm: a span of .*; native integers of 8 or 16 bits are read so"):
        FileSpan("a.dcm", 0, 0, (0, 0), (1, 4, 4), np.dtype(dtype))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no list of open files here")
@pytest.mark.parametrize("turn", [(), (Rotate(20),)], ids=["straight", "from memory"])
def test_no_file_stays_open(radiograph, turn):
    path, recipe = radiograph(), Preprocessing(values=WINDOW, geometry=(*turn, *SMALL))
    before = sorted(Path("/proc/self/fd").iterdir())

    arrays(recipe, path)

    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_an_image_that_declares_another_shape_is_refused(radiograph):
    [case] = sources.read(radiograph())
    image = replace(case.image, shape=(120, 200))

    with pytest.raises(SourceError, match=r"a\.dcm: decodes to uint16 of \(1, 200, 120\), which is not"):
        Pipeline(Preprocessing(values=WINDOW, geometry=SMALL)).prepare(replace(case, images={"image": image}))


def test_where_output_is_given_it_is_filled(radiograph, reads):
    [case] = sources.read(radiograph())
    out = np.full((1, 40, 30), np.nan, np.float32)

    made = Pipeline(Preprocessing(values=WINDOW, geometry=SMALL)).prepare(case, out={"image": out})

    assert made.arrays["image"] is out
    assert np.isfinite(out).all()
    assert not reads


def test_every_real_file_gives_the_same_either_way(test_data, reads):
    recipe = Preprocessing(values=Display(fallback=Full()), geometry=(Resize((96, 96)),))
    straight = 0
    for case in sources.read(test_data / "dicom-files"):
        if not hasattr(case, "image") or case.image.channels != 1 or len(case.image.shape) != 2:
            continue
        reads.clear()
        made = Pipeline(recipe).prepare(case).arrays["image"]
        straight += not reads
        pixels = case.image.read()
        held = replace(case.image, read=lambda pixels=pixels: pixels)
        expected = Pipeline(recipe).prepare(replace(case, images={"image": held})).arrays["image"]
        np.testing.assert_array_equal(made, expected)
    assert straight > 10
