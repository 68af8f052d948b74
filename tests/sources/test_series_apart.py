"""One series, several things: phases in one place, and localisers beside a stack; what is not clear is refused."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from medplug import sources
from medplug.case import Case, Unit
from medplug.result import Refused, Skipped

PLACES = [(0.0, 0.0, float(z)) for z in range(4)]


def read(folder):
    return list(sources.read(folder, Unit.SERIES))


@pytest.mark.parametrize(
    ("keyword", "first", "second"),
    [
        ("TemporalPositionIndex", 9, 10),
        ("TemporalPositionIdentifier", 1, 2),
        ("AcquisitionNumber", 9, 10),
        ("AcquisitionTime", "101530", "101545.5"),
        ("EchoNumbers", 1, 2),
        ("EchoTime", "4.6", "30.1"),
        ("TriggerTime", "0", "400"),
        ("DiffusionBValue", 0.0, 1000.0),
        ("ImageType", ["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]),
    ],
)
def test_phases_become_volumes_of_their_own(write_series, keyword, first, second):
    folder = write_series(PLACES * 2, **{keyword: [first] * 4 + [second] * 4})

    one, other = read(folder)

    assert one.image.read()[0, :, 0, 0].tolist() == [0, 1, 2, 3]
    assert other.image.read()[0, :, 0, 0].tolist() == [4, 5, 6, 7]
    assert one.reference.source.startswith(f"{folder}/1.2.3.4:{keyword}/")
    assert one.reference.source != other.reference.source
    assert len(one.reference.files) == len(other.reference.files) == 4


def test_two_elements_together_part_what_neither_does(write_series):
    echoes, phases = [1] * 4 + [2] * 4, [1] * 8 + [2] * 8
    folder = write_series(PLACES * 4, EchoNumbers=echoes * 2, TemporalPositionIndex=phases)

    found = read(folder)

    names = [case.reference.source.partition(":")[2] for case in found]
    assert names == [f"TemporalPositionIndex/{p},EchoNumbers/{e}" for p in (1, 2) for e in (1, 2)]
    assert [case.image.read()[0, 0, 0, 0] for case in found] == [0, 4, 8, 12]


def test_elements_that_say_the_same_need_not_be_chosen_between(write_series):
    folder = write_series(PLACES * 2, AcquisitionNumber=[1] * 4 + [2] * 4, TriggerTime=["0"] * 4 + ["400"] * 4)

    assert [case.reference.source.partition(":")[2] for case in read(folder)] == ["TriggerTime/0", "TriggerTime/400"]


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"AcquisitionNumber": list(range(8))},
        {"AcquisitionNumber": [1, 1, 1, 2, 2, 2, 2, 1]},  # another slice of the first's in each
        {"AcquisitionNumber": [1] * 4 + [2] * 4, "EchoNumbers": [1, 2, 1, 2, 2, 1, 2, 1]},  # two ways
    ],
)
def test_slices_that_are_not_told_apart_clearly_are_refused(write_series, elements):
    if elements.get("AcquisitionNumber") == [1, 1, 1, 2, 2, 2, 2, 1]:
        places = [*PLACES, (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 2.0), (0.0, 0.0, 9.0)]
    else:
        places = PLACES * 2
    [rejected] = read(write_series(places, **elements))

    assert rejected.outcome.code == "geometry"
    assert "several slices lie at the same place" in rejected.outcome.reason
    assert len(rejected.reference.files) == 8


SAGITTAL = [0, 1, 0, 0, 0, -1]


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        (
            {"ImageType": [["ORIGINAL", "PRIMARY", "LOCALIZER"]] * 2 + [["ORIGINAL", "PRIMARY", "AXIAL"]] * 4},
            "LOCALIZER",
        ),
        ({"ImageOrientationPatient": [SAGITTAL] * 2 + [[1, 0, 0, 0, 1, 0]] * 4}, "crosses the other slices"),
    ],
)
def test_localisers_are_told_from_the_stack_and_listed(write_series, elements, reason):
    folder = write_series([(5.0, 5.0, 5.0), (6.0, 6.0, 6.0), *PLACES], **elements)

    volume, *apart = read(folder)

    assert isinstance(volume, Case)
    assert volume.image.read()[0, :, 0, 0].tolist() == [2, 3, 4, 5]
    assert [found.reference.source for found in apart] == [str(folder / "000.dcm"), str(folder / "001.dcm")]
    assert all(isinstance(found.outcome, Skipped) and reason in found.outcome.reason for found in apart)


def test_localisers_alone_are_no_volume(write_series):
    folder = write_series(PLACES[:2], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])

    [rejected] = read(folder)

    assert isinstance(rejected.outcome, Refused)


def test_two_stacks_that_cross_are_refused(write_series):
    folder = write_series(PLACES * 2, ImageOrientationPatient=[SAGITTAL] * 4 + [[1, 0, 0, 0, 1, 0]] * 4)

    [rejected] = read(folder)

    assert "not parallel" in rejected.outcome.reason


def enhanced(write_dicom, heights, **groups):
    """An enhanced instance whose frame n is filled with n; `groups` are functional groups of one element a frame."""
    items = []
    for index, height in enumerate(heights):
        item, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, height]
        item.PlanePositionSequence = [position]
        for group, (keyword, values) in groups.items():
            holder = Dataset()
            setattr(holder, keyword, values[index])
            setattr(item, group, [holder])
        items.append(item)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, orientation.ImageOrientationPatient = [0.5, 0.25], [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    return write_dicom(
        "enhanced.dcm",
        np.repeat(np.arange(len(heights), dtype=np.uint16), 20).reshape(-1, 4, 5),
        SOPClassUID=EnhancedMRImageStorage,
        NumberOfFrames=len(heights),
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=items,
    )


@pytest.mark.parametrize("unit", [Unit.INSTANCE, Unit.SERIES])
def test_phases_of_an_enhanced_instance_become_volumes_of_their_own(write_dicom, unit):
    phases = [1, 2] * 4  # the phases of a place follow each other
    path = enhanced(
        write_dicom, [z for z in (3, 0, 1, 2) for _ in "12"], FrameContentSequence=("TemporalPositionIndex", phases)
    )

    one, other = sources.read(path, unit)

    assert one.reference.source == f"{path}:TemporalPositionIndex/1"
    assert other.reference.source == f"{path}:TemporalPositionIndex/2"
    assert one.image.read()[0, :, 0, 0].tolist() == [2, 4, 6, 0]
    assert other.image.read()[0, :, 0, 0].tolist() == [3, 5, 7, 1]
    assert [frame.frame for frame in other.image.frames] == [4, 6, 8, 2]
    assert other.image.spacing == (1, 0.5, 0.25)


def test_frames_that_are_not_told_apart_are_refused(write_dicom):
    path = enhanced(write_dicom, [0, 1, 2, 0, 1, 2], MREchoSequence=("EffectiveEchoTime", [1, 2, 3, 4, 5, 6]))

    [rejected] = sources.read(path)

    assert "several slices lie at the same place" in rejected.outcome.reason
    assert rejected.outcome.reason.endswith("; read it frame by frame")
