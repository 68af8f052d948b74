"""Texture statistics against their definitions, on images for which they can be told by hand."""

from math import log2

import numpy as np
import pytest

from medplug.evaluation.radiomics import LEVELS, SMALLEST, radiomics


def of(image):
    names, values = radiomics(np.asarray(image, dtype=np.float32)[None])
    return dict(zip(names, values[0]))


def slow_matrix(levels, distance):
    matrix = np.zeros((LEVELS, LEVELS))
    rows, columns = levels.shape
    for row in range(rows):
        for column in range(columns):
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                r, c = row + down * distance, column + right * distance
                if 0 <= r < rows and 0 <= c < columns:
                    matrix[levels[row, column], levels[r, c]] += 1
                    matrix[levels[r, c], levels[row, column]] += 1
    return matrix / matrix.sum()


def test_an_even_image_has_no_texture():
    found = of(np.full((8, 8), 0.5))

    assert (found["mean"], found["variance"], found["skewness"], found["mean gradient"]) == (0.5, 0, 0, 0)
    assert found["joint entropy, distance 1"] == 0
    assert found["angular second moment, distance 2"] == 1
    assert found["local binary pattern 8"] == 1  # every neighbour is as bright


def test_a_ramp_has_the_gradient_of_its_slope():
    found = of(np.tile(np.linspace(0, 0.9, 10), (10, 1)))

    assert found["mean gradient"] == pytest.approx(0.1, abs=1e-6)
    assert found["deviation of the gradient"] == pytest.approx(0, abs=1e-6)
    assert found["mean Laplacian"] == pytest.approx(0, abs=1e-6)
    assert found["interquartile range"] == pytest.approx(0.5, abs=1e-6)


def test_a_chessboard_of_two_levels_is_told_by_hand():
    board = np.indices((8, 8)).sum(axis=0) % 2 * 0.99

    found = of(board)

    assert found["discretised intensity entropy"] == pytest.approx(1)
    # of 2 (7 x 8) + 2 (7 x 7) pairs, those along an axis differ by 15 levels and the diagonal ones by none
    along, diagonal = 112 / 210, 98 / 210
    assert found["contrast, distance 1"] == pytest.approx(along * 225)
    assert found["difference average, distance 1"] == pytest.approx(along * 15)
    assert found["joint entropy, distance 1"] == pytest.approx(
        -2 * (along / 2) * log2(along / 2) - 2 * (diagonal / 2) * log2(diagonal / 2)
    )
    assert found["contrast, distance 2"] == 0


@pytest.mark.parametrize("distance", [1, 2])
def test_co_occurrence_agrees_with_the_definition_pair_by_pair(distance):
    image = np.random.default_rng(0).random((9, 11))
    shares = slow_matrix(np.minimum((image * LEVELS).astype(int), LEVELS - 1), distance)
    level = np.arange(1, LEVELS + 1)
    row, column = level[:, None], level[None, :]
    average = (row * shares).sum()
    variance = ((row - average) ** 2 * shares).sum()
    by_hand = {
        "joint maximum": shares.max(),
        "joint average": average,
        "joint variance": variance,
        "contrast": ((row - column) ** 2 * shares).sum(),
        "inverse difference": (shares / (1 + abs(row - column))).sum(),
        "correlation": ((row - average) * (column - average) * shares).sum() / variance,
        "cluster shade": ((row + column - 2 * average) ** 3 * shares).sum(),
        "angular second moment": (shares**2).sum(),
    }

    found = of(image)

    for name, value in by_hand.items():
        assert found[f"{name}, distance {distance}"] == pytest.approx(value, rel=1e-6), name


def test_patterns_do_not_change_when_an_image_is_turned_by_a_quarter():
    image = np.random.default_rng(1).random((12, 12))

    one, turned = of(image), of(np.rot90(image))

    for number in range(9):
        assert one[f"local binary pattern {number}"] == pytest.approx(turned[f"local binary pattern {number}"])


def test_images_are_told_one_by_one_whatever_stands_beside_them():
    images = np.random.default_rng(2).random((300, 7, 8)).astype(np.float32)

    _, together = radiomics(images)

    for row in (0, 255, 256, 299):
        assert np.allclose(together[row], radiomics(images[row : row + 1])[1][0])


def test_an_image_too_small_for_a_texture_is_refused():
    with pytest.raises(ValueError, match=f"at least {SMALLEST} a side"):
        radiomics(np.zeros((2, 4, 4), np.float32))
