"""What geometry steps refuse."""

import pytest

from medplug.errors import PreprocessingError
from medplug.geometry import Grid
from medplug.preprocessing import Spacing


@pytest.mark.parametrize(("spacing", "mm"), [(1e19, 1.0), (1.0, 1e-310)], ids=["1e21 pixels", "infinity"])
def test_a_spacing_is_judged_before_it_is_cut_to_an_integer(spacing, mm):
    """Cast to int, both are the smallest of all integers, which is a short axis."""
    with pytest.raises(PreprocessingError, match="no axis may have more than 32768") as caught:
        Spacing((mm, 1.0)).place(Grid.of((512, 512), (spacing, 1.0)))

    assert caught.value.code == "spacing"


def test_a_spacing_that_is_not_a_number_is_refused():
    with pytest.raises(PreprocessingError, match="no axis may have more than 32768"):
        Spacing((1.0, 1.0)).place(Grid.of((512, 512), (float("nan"), 1.0)))


def test_a_volume_that_no_memory_holds_is_refused_though_each_axis_is_short_enough():
    grid = Grid.of((400, 512, 512), (1.0, 0.5, 0.5))

    assert Spacing((1.0, 0.5, 0.5)).place(grid).shape == grid.shape
    with pytest.raises(PreprocessingError, match="1000 x 1024 x 1024 pixels, which is more than 2 GiB") as caught:
        Spacing((0.4, 0.25, 0.25)).place(grid)
    assert caught.value.code == "spacing"
