"""Settings as people write them become typed options, or are refused by name."""

from typing import Literal

import pytest

from medplug.errors import CallError
from medplug.model import ModelOptions, Recipe
from medplug.training.settings import lay_over


class Options(ModelOptions, frozen=True):
    width: int = 4
    rate: float = 0.5
    name: str = "x"
    dims: Literal[2, 3] = 2
    depth: tuple[int, ...] = (1,)
    limit: int | None = 3
    deep: bool = False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ({"width": "6"}, 6),
        ({"rate": "1e-3"}, 1e-3),
        ({"rate": "2"}, 2.0),
        ({"name": "12"}, "12"),
        ({"dims": "3"}, 3),
        ({"depth": "2,3, 4"}, (2, 3, 4)),
        ({"depth": "[2, 3]"}, (2, 3)),
        ({"depth": "7"}, (7,)),
        ({"limit": "null"}, None),
        ({"limit": "9"}, 9),
        ({"deep": "true"}, True),
        ({"width": 6}, 6),
        ({"depth": (5, 6)}, (5, 6)),
    ],
)
def test_a_text_is_read_as_its_fields_type(text, value):
    [name] = text

    assert getattr(lay_over(Options(), text, "x"), name) == value


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"width": "6.5"}, "option width is int, and '6.5' is none"),
        ({"width": 6.5}, "option width is int, and 6.5 is none"),
        ({"dims": "4"}, r"option dims is Literal\[2, 3\], and '4' is none"),
        ({"depth": "2,x"}, r"option depth is tuple\[int, ...\], and '2,x' is none"),
        (
            {"widths": "4"},
            r"cnn has no option 'widths'; did you mean 'width'\? It has width: int = 4, rate: float = 0.5",
        ),
        ({"zzz": "4"}, "cnn has no option 'zzz'; it has width"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(setting, message):
    with pytest.raises(CallError, match=message):
        lay_over(Options(), setting, "cnn")


def test_values_that_cannot_be_are_refused_by_the_options_themselves():
    with pytest.raises(CallError, match="the recipe: batch_size is 0: want 1 or more"):
        lay_over(Recipe(), {"batch_size": "0"}, "the recipe")
