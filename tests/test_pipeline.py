"""From a case to the network's input: images of one case share places, and pixels are what was declared."""

import dataclasses

import numpy as np
import pytest

from medplug.case import Case, CaseReference, Image
from medplug.errors import PreprocessingError, SourceError
from medplug.pipeline import Pipeline
from medplug.preprocessing import Crop, Preprocessing, Stored

RAMP = np.arange(48 * 40, dtype=np.uint16).reshape(1, 48, 40)
BOTH = Pipeline(Preprocessing(values=Stored(), geometry=(Crop((32, 24)),)), images=("flair", "t1"))


def image_of(pixels, to_patient=None):
    spacing = None if to_patient is None else (0.8, 0.8)
    return Image(pixels.shape[1:], pixels.dtype, lambda: pixels, spacing=spacing, to_patient=to_patient)


def plane(z=0.0, x=0.0, lean=0.0):
    """An axial slice of 0.8 mm pixels at `z` mm, leaning by `lean` degrees about its first column."""
    cosine, sine = np.cos(np.radians(lean)), np.sin(np.radians(lean))
    matrix = np.eye(4)
    matrix[:3, 0] = (-sine, 0, cosine)
    matrix[:3, 1] = (0, 0.8, 0)
    matrix[:3, 2] = (0.8 * cosine, 0, 0.8 * sine)
    matrix[:3, 3] = (x, 0, z)
    return matrix


def case_of(first, second):
    return Case(CaseReference(source="knee"), {"flair": first, "t1": second})


@pytest.mark.parametrize("other", [plane(z=200), plane(z=-0.6), plane(lean=2)], ids=["far", "near", "leaning"])
def test_flat_images_of_two_planes_are_not_taken_as_one(other):
    case = case_of(image_of(RAMP, plane()), image_of(RAMP, other))

    with pytest.raises(PreprocessingError, match="two images of a case do not lie in one plane") as caught:
        BOTH.prepare(case)

    assert caught.value.code == "geometry"


@pytest.mark.parametrize("z", [0.0, 0.4])
def test_flat_images_of_one_plane_show_the_same_places(z):
    moved = np.roll(RAMP, -5, axis=2)  # what lies at column c here lies at c + 5 there
    case = case_of(image_of(RAMP, plane()), image_of(moved, plane(z=z, x=4.0)))

    arrays = BOTH.prepare(case).arrays

    np.testing.assert_allclose(arrays["t1"], arrays["flair"], rtol=1e-6)


@pytest.mark.parametrize(
    ("decoded", "words"),
    [
        (RAMP[:, 1:], r"decodes to uint16 of \(1, 47, 40\), .* not what it declares: uint16 of \(1, 48, 40\)"),
        (np.repeat(RAMP, 3, axis=0), r"decodes to uint16 of \(3, 48, 40\)"),
        (RAMP.astype(np.float32), r"decodes to float32 of \(1, 48, 40\)"),
    ],
    ids=["shape", "channels", "dtype"],
)
@pytest.mark.parametrize("part", ["image", "mask"])
def test_pixels_that_are_not_what_was_declared_are_refused(decoded, words, part):
    right = image_of(RAMP)
    wrong = dataclasses.replace(right, read=lambda: decoded)
    case = Case(
        CaseReference(source="knee"),
        {"image": wrong if part == "image" else right},
        mask=wrong if part == "mask" else right,
    )

    with pytest.raises(SourceError, match=words) as caught:
        Pipeline(Preprocessing(values=Stored())).prepare(case)

    assert caught.value.code == "unreadable"
    assert str(caught.value).startswith("knee, its mask: " if part == "mask" else "knee: ")
