"""Geometry: chains of steps are one invertible affine, in pixels and in mm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medplug.augmentation import Augmentation
from medplug.case import Image
from medplug.errors import PreprocessingError
from medplug.geometry import Grid, compose, identity, invert, rotation, transform
from medplug.plan import grid_of, plan, resample_mask, restore
from medplug.preprocessing import Crop, Flip, Orient, Pad, Preprocessing, Resize, Rotate, Spacing, Stored


def steps(dims):
    sizes = st.tuples(*[st.integers(6, 60)] * dims)
    return st.one_of(
        st.builds(Spacing, st.tuples(*[st.floats(0.4, 3)] * dims)),
        st.builds(Resize, sizes, st.sampled_from(["stretch", "pad", "crop"])),
        st.builds(Crop, sizes),
        st.builds(Pad, sizes),
        st.builds(Rotate, st.floats(-180, 180), st.integers(0, 2)),
        st.builds(Flip, st.integers(0, dims - 1)),
    )


def image_of(pixels, spacing=None, to_patient=None):
    return Image(
        shape=pixels.shape[1:],
        dtype=pixels.dtype,
        read=lambda: pixels,
        channels=len(pixels),
        spacing=spacing,
        to_patient=to_patient,
    )


def oblique(spacing):
    """A volume's affine with axes far from the patient's."""
    turn = rotation(25, 0, 3) @ rotation(-40, 1, 3) @ rotation(12, 2, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag(spacing)
    matrix[:3, 3] = [-31, 12, 250]
    return matrix


@pytest.mark.parametrize("dims", [2, 3])
@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_ramp_of_coordinates_comes_back_within_a_hundredth_of_a_pixel(dims, data):
    """Each stored pixel holds its own index; after any chain it says where in the source it came from."""
    shape = (20, 24, 22)[:dims] if dims == 3 else (48, 37)
    spacing = (2.0, 0.8, 0.7)[-dims:]
    chain = data.draw(st.lists(steps(dims), min_size=1, max_size=5))
    pixels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float32)
    image = image_of(pixels, spacing, oblique((2.0, 0.8, 0.7)))
    preprocessing = Preprocessing(
        values=Stored(), channels="stored", geometry=tuple(chain), filter="linear", border="edge"
    )
    draw = Augmentation(rotate=(-20, 20), scale=(0.8, 1.2), shear=(-10, 10), shift=(-0.1, 0.1), flip=(0,)).draw(
        np.random.default_rng(data.draw(st.integers(0, 99))), dims
    )
    grid = grid_of(preprocessing, image, draw)

    ramp = plan(preprocessing, image, pixels, draw).run(pixels)

    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).astype(float)
    stored = transform(grid.to_stored, index)
    inside = np.all((stored >= 0) & (stored <= np.array(shape) - 1), axis=-1)
    assert np.abs(np.moveaxis(ramp, 0, -1)[inside] - stored[inside]).max(initial=0) < 0.01
    back = transform(grid.from_stored, stored)
    assert np.abs(back - index).max() < 1e-6
    patient = transform(image.to_patient[:3], np.concatenate([np.zeros((*grid.shape, 3 - dims)), stored], -1))
    direct = transform(grid.to_patient[:3], np.concatenate([np.zeros((*grid.shape, 3 - dims)), index], -1))
    assert np.abs(patient - direct).max() < 1e-6


@pytest.mark.parametrize("dims", [2, 3])
@given(data=st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_smooth_map_drawn_in_model_space_lands_where_it_belongs(dims, data):
    """`restore` of a ramp that holds model indices gives each source pixel its own place in the model's grid."""
    shape = (20, 24, 22) if dims == 3 else (48, 37)
    chain = data.draw(st.lists(steps(dims), min_size=1, max_size=4))
    pixels = np.zeros((1, *shape), np.float32)
    image = image_of(pixels, (2.0, 0.8, 0.7)[-dims:])
    grid = grid_of(Preprocessing(values=Stored(), geometry=tuple(chain)), image)
    model_index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij")).astype(np.float32)

    carried = restore(grid, model_index, "linear")

    stored = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).astype(float)
    expected = transform(grid.from_stored, stored)
    well_inside = np.all((expected >= 0) & (expected <= np.array(grid.shape) - 1), axis=-1)
    assert np.abs(np.moveaxis(carried, 0, -1)[well_inside] - expected[well_inside]).max(initial=0) < 0.01
    far_outside = np.any((expected < -0.51) | (expected > np.array(grid.shape) - 0.49), axis=-1)
    assert np.abs(carried[:, far_outside]).max(initial=0) == 0


def test_a_mask_drawn_in_model_space_lands_in_the_source_in_pixels_and_mm():
    spacing = (2.0, 0.8, 0.7)
    pixels = np.zeros((1, 30, 60, 50), np.int16)
    image = image_of(pixels, spacing, oblique(spacing))
    preprocessing = Preprocessing(
        values=Stored(), geometry=(Spacing((1.0, 1.0, 1.0)), Rotate(20), Crop((48, 40, 30)), Flip(2))
    )
    grid = grid_of(preprocessing, image)
    centre, radius = np.array([20.0, 19.0, 14.0]), 6.0
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    ball = (np.linalg.norm(index - centre, axis=-1) <= radius).astype(np.float32)
    ball_mm = transform(grid.to_patient[:3], centre[None])[0]

    mask = restore(grid, ball[None], "linear")[0] >= 0.5

    found = transform(image.to_patient[:3], np.argwhere(mask).astype(float))
    assert np.linalg.norm(found.mean(axis=0) - ball_mm) < 0.15
    assert np.linalg.norm(found - ball_mm, axis=1).max() < radius + 1.5
    volume = mask.sum() * np.prod(spacing)
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.05)


def test_a_mask_goes_in_by_nearest_and_keeps_its_labels():
    mask = np.zeros((1, 40, 40), np.uint8)
    mask[0, 10:20, 5:15] = 7
    grid = Preprocessing(geometry=(Rotate(33), Resize((91, 77)))).grid((40, 40))

    assert set(np.unique(resample_mask(grid, mask))) == {0.0, 7.0}


def test_quarter_turns_and_flips_move_pixels_without_changing_them():
    pixels = np.random.default_rng(0).integers(0, 4096, (1, 31, 31)).astype(np.uint16)
    image = image_of(pixels)
    for step, expected in [
        (Rotate(90), np.rot90(pixels[0])),
        (Rotate(-90), np.rot90(pixels[0], -1)),
        (Rotate(180), np.rot90(pixels[0], 2)),
        (Flip(1), pixels[0, :, ::-1]),
    ]:
        preprocessing = Preprocessing(values=Stored(), geometry=(step,))
        assert np.array_equal(plan(preprocessing, image, pixels).run(pixels)[0], expected), step


def test_crop_then_pad_shows_the_image_that_the_crop_had_hidden():
    pixels = np.arange(100, dtype=np.uint8).reshape(1, 10, 10)
    preprocessing = Preprocessing(values=Stored(), geometry=(Crop((4, 4)), Pad((10, 10))))

    assert np.array_equal(plan(preprocessing, image_of(pixels), pixels).run(pixels)[0], pixels[0])


def test_resize_with_padding_keeps_the_aspect_ratio_and_the_centre():
    grid = Preprocessing(geometry=(Resize((64, 64), "pad"),)).grid((100, 50))

    assert np.allclose(np.diag(grid.to_stored), 100 / 64)
    assert np.allclose(transform(grid.to_stored, np.array([[31.5, 31.5]])), [[49.5, 24.5]])


def test_spacing_is_reached_and_said():
    grid = Preprocessing(geometry=(Spacing((1.5, 0.5)),)).grid((30, 40), Grid.of((30, 40), (1.0, 1.0)))

    assert grid.shape == (20, 80)
    assert grid.spacing == pytest.approx((1.5, 0.5))


def test_rotation_is_rigid_in_mm_where_pixels_are_not_square():
    grid = Preprocessing(geometry=(Rotate(90),)).grid((40, 40), Grid.of((40, 40), (2.0, 1.0)))

    moved = transform(grid.to_stored, np.array([[19.5, 19.5], [19.5, 29.5]]))  # ten columns apart: 10 mm

    assert np.linalg.norm((moved[1] - moved[0]) * [2.0, 1.0]) == pytest.approx(10)


def test_orient_brings_an_oblique_volume_to_patient_axes():
    sagittal = np.eye(4)
    sagittal[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) * 0.9  # slices to L, rows to I, columns to P
    image = image_of(np.zeros((1, 5, 6, 7), np.int16), (0.9, 0.9, 0.9), sagittal)

    grid = grid_of(Preprocessing(geometry=(Orient("SPL"),)), image)

    assert grid.shape == (6, 7, 5)
    steps_mm = grid.to_patient[:3, :3]
    assert np.allclose(steps_mm, np.array([[0, 0, 0.9], [0, 0.9, 0], [0.9, 0, 0]]))


def test_a_step_that_needs_spacing_refuses_an_image_that_has_none():
    with pytest.raises(PreprocessingError, match="states none") as caught:
        Preprocessing(geometry=(Spacing((1.0, 1.0)),)).grid((30, 40))
    assert caught.value.code == "spacing"


def test_a_step_for_volumes_refuses_a_picture():
    with pytest.raises(PreprocessingError, match="names 3 axes and the image has 2"):
        Preprocessing(geometry=(Resize((4, 4, 4)),)).grid((30, 40))


def test_a_map_composed_with_its_inverse_is_the_identity():
    affine = np.array([[1.2, 0.3, -4.0], [-0.2, 0.8, 9.0]])

    assert np.allclose(compose(affine, invert(affine)), identity(2))
    with pytest.raises(PreprocessingError, match="cannot be inverted"):
        invert(np.zeros((2, 3)))


def test_an_augmentations_turn_is_rigid_in_mm_too():
    grid = Grid.of((20, 40, 40), (5.0, 0.7, 0.7))
    draw = Augmentation(rotate=(10, 10)).draw(np.random.default_rng(0), 3)

    turned = np.diag(grid.stored_spacing) @ draw.place(grid).to_stored[:, :-1] @ np.diag(1 / np.array([5.0, 0.7, 0.7]))

    assert np.linalg.svd(turned)[1] == pytest.approx([1, 1, 1])
