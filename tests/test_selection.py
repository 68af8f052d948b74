"""Selection is data: what it does not want is left out, with the reason."""

import numpy as np
import pytest

from medplug.case import Case, CaseReference, Image
from medplug.errors import CallError
from medplug.selection import EVERYTHING, Selection, selection_of


def case(shape=(4, 5), **stated):
    return Case(CaseReference(source="a"), {"image": Image(shape, np.dtype(np.uint8), list, **stated)})


@pytest.mark.parametrize(
    ("selection", "stated", "reason"),
    [
        (EVERYTHING, {}, None),
        (Selection(modality=("CT", "MR")), {"modality": "MR"}, None),
        (Selection(modality=("CT", "MR")), {"modality": "CR"}, "its modality is CR; CT or MR is selected"),
        (Selection(body_part=("CHEST",)), {}, "its body part is not stated; CHEST is selected"),
        (Selection(view=("PA",)), {"view": "LL"}, "its view is LL; PA is selected"),
        (Selection(description=("*chest*", "lung?")), {"description": "CT CHEST 1mm"}, None),
        (Selection(description=("*chest*", "lung?")), {"description": "Lungs"}, None),
        (Selection(description=("chest",)), {"description": "CT Chest"}, "its series is CT Chest; chest is selected"),
        (Selection(description=("*",)), {"description": None}, None),
        (Selection(min_slices=3), {"shape": (3, 4, 5)}, None),
        (Selection(min_slices=4), {"shape": (3, 4, 5)}, "it has 3 slices; at least 4 are selected"),
        (Selection(min_slices=2), {}, "it has 1 slices; at least 2 are selected"),
    ],
)
def test_a_case_is_wanted_or_there_is_a_reason(selection, stated, reason):
    assert selection.leaves_out(case(**stated)) == reason


def test_a_selection_is_written_as_lines():
    found = selection_of(["modality=ct", "modality = MR", "description=*Thin, 1 mm*", "min_slices=20"])

    assert found == Selection(modality=("CT", "MR"), description=("*Thin, 1 mm*",), min_slices=20)
    assert selection_of([]) == EVERYTHING


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("organ=LUNG", "'organ=LUNG' selects nothing: write NAME=VALUE; the names are modality, body_part, view"),
        ("modality", "'modality' selects nothing"),
        ("modality=", "'modality=' selects nothing"),
        ("min_slices=0", "min_slices=0: want one whole number"),
        ("min_slices=many", "min_slices=MANY: want one whole number"),
    ],
)
def test_a_line_that_selects_nothing_is_a_wrong_call(line, words):
    with pytest.raises(CallError, match=words.replace("*", r"\*")):
        selection_of([line])
