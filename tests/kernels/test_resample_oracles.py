"""`resample` against what others compute: PyTorch, Pillow, NumPy and pydicom."""

import numpy as np
import pydicom
import pytest
import torch
import torch.nn.functional as F
from kernels.calls import noise, run
from kernels.reference import resize
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_rescale, apply_windowing

from medplug._kernels import Tone

SIZES = [((50, 40), (20, 13)), ((20, 13), (50, 40)), ((31, 64), (64, 31)), ((7, 7), (1, 1)), ((33, 33), (33, 11))]


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_antialiased_resize_is_pytorchs(old, new):
    stored = noise((2, *old), "float32")

    expected = F.interpolate(
        torch.from_numpy(stored.astype(np.float64))[None], size=new, mode="bilinear", antialias=True
    )[0].numpy()

    assert_allclose(run(stored, (2, *new), resize(old, new), filter="antialias"), expected, atol=1e-3)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_linear_resize_is_pytorchs(old, new):
    stored = noise((2, *old), "float32")

    expected = F.interpolate(torch.from_numpy(stored.astype(np.float64))[None], size=new, mode="bilinear")[0].numpy()

    assert_allclose(run(stored, (2, *new), resize(old, new)), expected, atol=1e-3)


def test_linear_resize_of_a_volume_is_pytorchs():
    stored = noise((1, 9, 14, 11), "float32")

    expected = F.interpolate(torch.from_numpy(stored.astype(np.float64))[None], size=(13, 7, 20), mode="trilinear")

    assert_allclose(run(stored, (1, 13, 7, 20), resize((9, 14, 11), (13, 7, 20))), expected[0].numpy(), atol=1e-3)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_nearest_resize_is_pytorchs_but_for_ties(old, new):
    stored = noise((2, *old), "int16")

    expected = F.interpolate(torch.from_numpy(stored.astype(np.float64))[None], size=new, mode="nearest-exact")

    assert_array_equal(run(stored, (2, *new), resize(old, new), filter="nearest"), expected[0].numpy())


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_antialiased_resize_is_pillows(old, new):
    stored = noise((1, *old), "float32")

    expected = np.asarray(Image.fromarray(stored[0]).resize(new[::-1], Image.Resampling.BILINEAR))

    assert_allclose(run(stored, (1, *new), resize(old, new), filter="antialias")[0], expected, atol=1e-3)


@pytest.mark.parametrize("border", ["edge", "constant"])
def test_a_rotated_grid_is_pytorchs_grid_sample(border):
    stored = noise((1, 30, 20), "float32")
    angle, rows, columns = 0.4, 25, 28
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    to_stored = np.column_stack([linear, [2.0, 5.5]])
    index = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1)
    position = index @ linear.T + to_stored[:, 2]
    grid = torch.from_numpy((2 * position + 1) / [30, 20] - 1).flip(-1)[None]

    expected = F.grid_sample(
        torch.from_numpy(stored.astype(np.float64))[None],
        grid,
        padding_mode="border" if border == "edge" else "zeros",
        align_corners=False,
    )[0].numpy()

    assert_allclose(run(stored, (1, rows, columns), to_stored, border=border), expected, atol=1e-3)


@pytest.fixture(scope="module")
def ct():
    return pydicom.dcmread(get_testdata_file("CT_small.dcm"))


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "LINEAR", "SIGMOID"])
@pytest.mark.parametrize("which", ["before", "after"])
def test_a_windowed_ct_is_pydicoms(ct, which, function):
    ct.WindowCenter, ct.WindowWidth, ct.VOILUTFunction = 40, 400, function
    hounsfield = apply_rescale(ct.pixel_array, ct)
    # PS3.3 C.11.2.1.2.1: pydicom maps onto the whole range that the rescaled stored values could have.
    bottom, top = (np.array([-(2**15), 2**15 - 1]) * ct.RescaleSlope + ct.RescaleIntercept).tolist()
    expected = (apply_windowing(hounsfield, ct) - bottom) / (top - bottom)
    center, width = (39.5, 399) if function == "LINEAR" else (40, 400)
    if function == "SIGMOID":
        line = Tone(slope=ct.RescaleSlope / width, intercept=(ct.RescaleIntercept - center) / width, sigmoid=True)
    else:
        intercept = (ct.RescaleIntercept - center) / width + 0.5
        line = Tone(slope=ct.RescaleSlope / width, intercept=intercept, low=0, high=1)

    out = run(ct.pixel_array[None], (1, 128, 128), np.eye(2, 3), **{which: [line]})

    assert 0 < (out < 0.5).mean() < 1
    looked_up = function == "SIGMOID" and which == "before"
    assert_allclose(out[0], expected, atol=1.6e-5 if looked_up else 1e-6)


def test_a_modality_lut_is_pydicoms():
    lut = Dataset()
    lut.LUTDescriptor = [5, 10, 16]
    lut.LUTData = [100, 300, 200, 65535, 0]
    lut.ModalityLUTType = "US"
    dataset = Dataset()
    dataset.ModalityLUTSequence = [lut]
    dataset.PixelRepresentation = 0
    stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)

    table = Tone(table=np.array(lut.LUTData, np.float32), first=10)

    expected = apply_modality_lut(stored, dataset)
    assert_array_equal(run(stored, stored.shape, np.eye(2, 3), before=[table]), expected)
