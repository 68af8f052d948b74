"""Preprocessing as data, and the tones that it becomes."""

import json

import msgspec
import numpy as np
import pytest

from medplug.augmentation import Augmentation
from medplug.case import Image, LookupTable, ValueMeaning, VoiWindow
from medplug.errors import PreprocessingError
from medplug.plan import fit, plan
from medplug.preprocessing import (
    Constant,
    Crop,
    Display,
    FitPercentiles,
    Full,
    Normalize,
    Percentiles,
    Preprocessing,
    Range,
    Resize,
    Rotate,
    Spacing,
    Stored,
    Window,
    Windows,
)


def grey(pixels, meaning=None, bits=12):
    pixels = np.asarray(pixels)
    info = np.iinfo(pixels.dtype) if pixels.dtype.kind in "iu" else None
    return Image(
        shape=pixels.shape,
        dtype=pixels.dtype,
        read=lambda: pixels[None],
        values=meaning or ValueMeaning(),
        bits=bits,
        stored_range=(int(info.min), int(info.max)) if info else None,
    )


def run(preprocessing, image, draw=None):
    pixels = image.read()
    return plan(preprocessing, image, pixels, draw).run(pixels)


LOOKED_UP = 1.6e-5  # what a sigmoid or a power of integers may be off by: 2^-16 of its range, and a float
RAMP = np.arange(0, 4096, 7, dtype=np.uint16).reshape(1, -1)


def test_the_json_form_is_the_one_that_the_reference_shows():
    preprocessing = Preprocessing(
        values=Window(center=40, width=400),
        geometry=(Spacing((1.0, 1.0)), Resize((256, 256), "pad"), Crop((224, 224)), Rotate(0)),
        normalize=Normalize((0.5,), (0.25,)),
    )

    plain = json.loads(preprocessing.to_json())

    assert plain["values"] == {"window": {"center": 40.0, "width": 400.0, "function": "LINEAR_EXACT"}}
    assert [step["op"] for step in plain["geometry"]] == ["spacing", "resize", "crop", "rotate"]
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing
    assert Preprocessing.from_json(json.dumps(plain, indent=4)).plan_id == preprocessing.plan_id


def test_the_plan_id_of_a_preprocessing_never_changes():
    """Model folders keep it: a release that changes it would disown every one of them."""
    preprocessing = Preprocessing(values=Display(fallback=Percentiles()), geometry=(Resize((96, 96)),))

    assert preprocessing.plan_id == "980bf4c1ecafd0d56772ffceff484a2a83a3d78a747bc5dc187a1ece7ffa21ea"


def test_a_whole_number_and_its_float_are_one_plan():
    whole, real = Preprocessing(values=Window(40, 400)), Preprocessing(values=Window(40.0, 400.0))

    assert whole.plan_id == real.plan_id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"valuess": {}}', "unknown field `valuess`"),
        ('{"values": {"window": {"center": 1, "width": "a"}}}', "Expected `float`, got `str`"),
        ('{"values": {"window": {"center": 1, "width": -1}}}', "width"),
        ('{"values": {"window": {"center": 1}, "range": {}}}', "one key"),
        ('{"values": {"exec": {}}}', "Invalid value 'exec'"),
        ('{"geometry": [{"op": "resize", "size": [0, 3]}]}', "1 to 32768"),
        ('{"geometry": [{"op": "import", "name": "os"}]}', "Invalid value 'import'"),
        ('{"version": 2}', "version"),
        ('{"normalize": {"mean": [0], "std": [0]}}', "positive"),
        ("[]", "object"),
        ("{", "no JSON"),
    ],
)
def test_what_is_not_in_the_vocabulary_is_an_error_that_names_it(text, message):
    with pytest.raises(PreprocessingError, match=message):
        Preprocessing.from_json(text)


def test_a_window_is_linear_exact_unless_it_says_linear():
    exact = run(Preprocessing(values=Window(1000, 500)), grey(RAMP))[0]
    linear = run(Preprocessing(values=Window(1000, 500, "LINEAR")), grey(RAMP))[0]

    x = RAMP.astype(float)
    assert np.abs(exact - np.clip((x - 1000) / 500 + 0.5, 0, 1)).max() < 1e-6
    assert np.abs(linear - np.clip((x - 999.5) / 499 + 0.5, 0, 1)).max() < 1e-6


def test_a_sigmoid_window_is_that_of_the_standard():
    made = run(Preprocessing(values=Window(1000, 500, "SIGMOID")), grey(RAMP))[0]

    assert np.abs(made - 1 / (1 + np.exp(-4 * (RAMP.astype(float) - 1000) / 500))).max() <= LOOKED_UP


def test_the_modality_transform_comes_before_the_window():
    meaning = ValueMeaning(rescale=(2.0, -1024.0))

    made = run(Preprocessing(values=Window(40, 400)), grey(RAMP, meaning))[0]

    assert np.abs(made - np.clip((RAMP * 2.0 - 1024 - 40) / 400 + 0.5, 0, 1)).max() < 1e-6


def test_display_takes_the_first_window_of_the_source():
    meaning = ValueMeaning(windows=(VoiWindow(2000, 1000, "LINEAR_EXACT"), VoiWindow(1, 1)))

    made = run(Preprocessing(values=Display()), grey(RAMP, meaning))[0]

    assert np.abs(made - np.clip((RAMP.astype(float) - 2000) / 1000 + 0.5, 0, 1)).max() < 1e-6


@pytest.mark.parametrize("order", ["values-first", "geometry-first"])
def test_display_sends_values_through_both_tables(order):
    modality = LookupTable((np.arange(4096, dtype=np.float32) // 2), 0, 4095.0)
    voi = LookupTable(np.square(np.arange(2048, dtype=np.float32) / 2047) * 255, 0, 255.0)
    image = grey(RAMP, ValueMeaning(modality_lut=modality, voi_lut=voi))

    made = run(Preprocessing(values=Display(), order=order), image)[0]

    assert np.abs(made - np.square((RAMP // 2) / 2047)).max() < 1e-5


def test_an_inverted_image_is_clamped_and_then_inverted():
    meaning = ValueMeaning(windows=(VoiWindow(2000, 1000, "LINEAR_EXACT"),), inverted=True)

    made = run(Preprocessing(values=Display()), grey(RAMP, meaning))[0]

    assert np.abs(made - (1 - np.clip((RAMP.astype(float) - 2000) / 1000 + 0.5, 0, 1))).max() < 1e-6


def test_a_picture_is_displayed_over_its_declared_range():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)

    made = run(Preprocessing(), grey(pixels, ValueMeaning(full_range=(0, 255))))[0]

    assert np.abs(made - pixels / 255).max() < 1e-6


def test_display_without_a_window_is_refused_unless_a_fallback_is_named():
    with pytest.raises(PreprocessingError, match="neither a VOI window nor a VOI LUT") as caught:
        run(Preprocessing(values=Display()), grey(RAMP))
    assert caught.value.code == "values"
    made = run(Preprocessing(values=Display(fallback=Percentiles(0, 100))), grey(RAMP))[0]
    assert np.abs(made - RAMP / RAMP.max()).max() < 1e-6


def test_percentiles_follow_a_falling_rescale():
    meaning = ValueMeaning(rescale=(-1.0, 4095.0))

    made = run(Preprocessing(values=Percentiles(0, 100)), grey(RAMP, meaning))[0]

    x = 4095.0 - RAMP
    assert np.abs(made - (x - x.min()) / (x.max() - x.min())).max() < 1e-6


def test_full_is_the_range_of_the_stored_bits():
    made = run(Preprocessing(values=Full()), grey(np.arange(0, 65536, 97, dtype=np.uint16)[None]))[0]

    assert made.max() == pytest.approx(np.arange(0, 65536, 97).max() / 65535)


def test_several_windows_are_several_channels():
    made = run(Preprocessing(values=Windows((Window(500, 100), Window(3000, 2000)))), grey(RAMP))

    assert made.shape == (2, *RAMP.shape)
    assert np.abs(made[1] - np.clip((RAMP - 3000.0) / 2000 + 0.5, 0, 1)).max() < 1e-6


def test_colour_becomes_grey_by_luma_and_grey_becomes_three_channels():
    colour = np.random.default_rng(0).integers(0, 256, (3, 9, 11)).astype(np.uint8)
    image = Image((9, 11), colour.dtype, lambda: colour, channels=3, values=ValueMeaning(full_range=(0, 255)))

    luma = run(Preprocessing(), image)

    assert luma.shape == (1, 9, 11)
    # Bytes are mixed to 1/128 of a stored value.
    assert np.abs(luma[0] - np.tensordot([0.299, 0.587, 0.114], colour, 1) / 255).max() <= 1 / 256 / 255 + 1e-6
    assert run(Preprocessing(channels="rgb", values=Stored()), grey(RAMP)).shape == (3, *RAMP.shape)
    two = Image((9, 11), colour.dtype, lambda: colour[:2], channels=2, values=ValueMeaning(full_range=(0, 255)))
    with pytest.raises(PreprocessingError, match="2 channels cannot become grey"):
        run(Preprocessing(), two)


def test_the_tone_comes_before_the_filter_or_after_it_as_the_order_says():
    step = np.zeros((8, 8), np.int16)
    step[:, 4:] = 4000
    window, half = Window(500, 1000), (Resize((1, 1)),)

    first = run(Preprocessing(values=window, geometry=half), grey(step))[0, 0, 0]
    last = run(Preprocessing(values=window, geometry=half, order="geometry-first"), grey(step))[0, 0, 0]

    assert first == pytest.approx(0.5, abs=1e-6)
    assert last == 1.0


@pytest.mark.parametrize("order", ["values-first", "geometry-first"])
def test_a_constant_border_is_in_modality_units(order):
    pixels = np.full((8, 8), 1064, np.int16)
    image = grey(pixels, ValueMeaning(rescale=(1.0, -1024.0)))
    preprocessing = Preprocessing(
        values=Window(0, 2000), order=order, border=Constant(-1000.0), geometry=(Resize((4, 12), "pad"),)
    )

    made = run(preprocessing, image)[0]

    assert made[2, 0] == pytest.approx(0.0)
    assert made[2, 6] == pytest.approx(40 / 2000 + 0.5)


def test_normalisation_comes_last():
    made = run(Preprocessing(values=Range(0, 4095), normalize=Normalize((0.5,), (0.25,))), grey(RAMP))[0]

    assert np.abs(made - (RAMP / 4095 - 0.5) / 0.25).max() < 1e-5


def test_what_waits_for_the_training_rows_is_resolved_before_the_id_is_taken():
    generator = np.random.default_rng(0)
    images = [grey(generator.integers(100, 1100, (32, 32)).astype(np.uint16)) for _ in range(5)]
    waiting = Preprocessing(values=FitPercentiles(0, 100), normalize="fit", geometry=(Resize((16, 16)),))
    with pytest.raises(PreprocessingError, match="still to be fitted"):
        _ = waiting.plan_id

    fitted = fit(waiting, images)

    assert isinstance(fitted.values, Range)
    assert len(fitted.plan_id) == 64
    made = np.stack([run(fitted, image) for image in images])
    assert made.mean() == pytest.approx(0, abs=1e-4)
    assert made.std() == pytest.approx(1, abs=1e-3)


def test_augmentation_is_drawn_from_its_ranges_and_repeats():
    ranges = Augmentation(rotate=(-10, 10), scale=(0.9, 1.1), shift=(-0.1, 0.1), contrast=(0.5, 1.5), gamma=(0.8, 1.2))

    first, again = (ranges.draw(np.random.default_rng(5), 2) for _ in range(2))

    assert np.array_equal(first.linear, again.linear)
    assert first.contrast == again.contrast
    assert 0.5 <= first.contrast <= 1.5
    assert np.abs(first.shift).max() <= 0.1


def test_an_augmentation_without_ranges_changes_nothing():
    image = grey(RAMP, ValueMeaning(full_range=(0, 4095)))
    nothing = Augmentation().draw(np.random.default_rng(0), 2)

    assert np.array_equal(run(Preprocessing(), image, nothing), run(Preprocessing(), image))


def test_contrast_brightness_and_gamma_join_the_tone():
    image = grey(RAMP, ValueMeaning(full_range=(0, 4095)))
    draw = Augmentation(contrast=(1.5, 1.5), brightness=(0.1, 0.1), gamma=(0.7, 0.7)).draw(np.random.default_rng(0), 2)

    made = run(Preprocessing(), image, draw)[0]

    assert np.abs(made - np.clip((RAMP / 4095 - 0.5) * 1.5 + 0.6, 0, 1) ** 0.7).max() <= LOOKED_UP


def test_preprocessing_is_frozen():
    with pytest.raises(AttributeError, match="immutable"):
        Preprocessing().filter = "linear"  # type: ignore[misc]
    assert msgspec.structs.replace(Preprocessing(), filter="linear").filter == "linear"


def test_a_preprocessing_says_which_quality_it_is():
    exact, fast = Preprocessing(), Preprocessing(quality="fast")

    assert Preprocessing.from_json(fast.to_json()).quality == "fast"
    assert exact.plan_id != fast.plan_id
