"""One series, several things: phases in one place, and localisers beside a stack; what is not clear is refused."""

import shutil
import time

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from medplug import sources
from medplug.case import Case, Unit
from medplug.result import Refused, Skipped
from medplug.sources.dicom_elements import MARK_KEYWORDS
from medplug.sources.dicom_geometry import Plane
from medplug.sources.dicom_groups import volumes

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


def test_copies_of_an_instance_are_read_once_and_listed(write_series):
    folder = write_series(PLACES)
    (folder / "copies").mkdir()
    for name in ("000.dcm", "002.dcm"):
        shutil.copy(folder / name, folder / "copies" / name)
    shutil.copy(folder / "002.dcm", folder / "zzz.dcm")

    volume, *copies = read(folder)

    assert volume.image.read()[0, :, 0, 0].tolist() == [0, 1, 2, 3]
    assert volume.reference.files == tuple(str(folder / f"00{n}.dcm") for n in range(4))
    assert [copy.outcome for copy in copies] == [
        Skipped(reason=f"{folder}/copies/000.dcm: is the same instance as {folder}/000.dcm"),
        Skipped(reason=f"{folder}/copies/002.dcm: is the same instance as {folder}/002.dcm"),
        Skipped(reason=f"{folder}/zzz.dcm: is the same instance as {folder}/002.dcm"),
    ]


def test_a_copy_of_a_multi_frame_instance_is_read_once_and_an_unlike_one_refused(write_dicom, tmp_path):
    path = write_dicom("a.dcm", np.zeros((3, 4, 5), np.uint16), NumberOfFrames=3)
    shutil.copy(path, tmp_path / "b.dcm")

    volume, copy = read(tmp_path)

    assert volume.image.shape == (3, 4, 5)
    assert copy.outcome.reason == f"{tmp_path}/b.dcm: is the same instance as {path}"
    (tmp_path / "b.dcm").write_bytes(path.read_bytes()[:-1] + b"1")
    [rejected] = read(tmp_path)
    assert f"{path} and {tmp_path}/b.dcm have one SOP Instance UID" in rejected.outcome.reason
    assert rejected.reference.files == (str(path), f"{tmp_path}/b.dcm")


def test_unlike_files_that_claim_to_be_one_instance_are_refused_by_name(write_series):
    folder = write_series(PLACES)
    content = bytearray((folder / "001.dcm").read_bytes())
    content[-1] ^= 1
    (folder / "other.dcm").write_bytes(content)

    [rejected] = read(folder)

    assert rejected.outcome.code == "unreadable"
    assert f"{folder}/001.dcm and {folder}/other.dcm have one SOP Instance UID" in rejected.outcome.reason
    assert len(rejected.reference.files) == 5


def offset(shift, count=4):
    """Two tables of `count` places, 5 mm apart, the second moved by `shift`."""
    return [(0.0, 0.0, 5.0 * n + moved) for moved in (0, shift) for n in range(count)]


@pytest.mark.parametrize("tilt", ["refuse", "correct"])
@pytest.mark.parametrize("shift", [2.5, 1.0])
@pytest.mark.parametrize(
    "elements",
    [
        {"TemporalPositionIdentifier": [1] * 4 + [2] * 4, "AcquisitionNumber": [1] * 4 + [2] * 4},
        {"EchoTime": ["4.6"] * 4 + ["30.1"] * 4},
        {"DiffusionBValue": [0.0] * 4 + [1000.0] * 4},
    ],
)
def test_phases_that_lie_between_each_other_are_never_one_volume(write_series, elements, shift, tilt):
    folder = write_series(offset(shift), **elements)

    one, other = sources.read(folder, Unit.SERIES, tilt=tilt)

    assert one.image.read()[0, :, 0, 0].tolist() == [0, 1, 2, 3]
    assert other.image.read()[0, :, 0, 0].tolist() == [4, 5, 6, 7]
    assert one.image.spacing[0] == other.image.spacing[0] == 5
    assert other.image.to_patient[2, 3] == shift
    assert f":{next(iter(elements))}/" in other.reference.source


def test_phases_between_each_other_that_repeat_are_parted_by_all_that_differs(write_series):
    acquisitions, phases = ([1] * 4 + [2] * 4) * 2, [1] * 8 + [2] * 8
    places = [place for shift in (0, 2.5) for place in offset(shift)[4:] * 2]
    folder = write_series(places, AcquisitionNumber=acquisitions, TemporalPositionIndex=phases)

    found = read(folder)

    assert [case.image.read()[0, 0, 0, 0] for case in found] == [0, 8, 4, 12]
    assert found[1].reference.source.endswith(":AcquisitionNumber/1,TemporalPositionIndex/2")


def test_phases_with_few_slices_between_those_of_another_are_refused(write_series):
    places = offset(2.5)
    phases = [1, 1, 1, 1, 2, 2, 3, 2]

    first, second, third = read(write_series(places, TemporalPositionIndex=phases))

    assert isinstance(first, Case)
    assert "uneven" in second.outcome.reason
    assert "has 1 slices" in third.outcome.reason


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "AcquisitionTime", "ImageType", "TriggerTime"])
def test_slices_acquired_in_two_passes_are_one_volume_and_nothing_is_made_between_uneven_ones(write_series, keyword):
    values = [["A", "B", "M"]] * 4 + [["A", "B", "P"]] * 4 if keyword == "ImageType" else ["1"] * 4 + ["2"] * 4
    even = write_series(offset(2.5), "even", **{keyword: values})
    uneven = write_series(offset(1.0), "uneven", **{keyword: values})

    [case] = sources.read(even, Unit.SERIES, tilt="correct")
    [rejected] = sources.read(uneven, Unit.SERIES, tilt="correct")

    assert case.image.read()[0, :, 0, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert rejected.outcome.code == "geometry"
    assert f"slices of unlike {keyword} lie between each other" in rejected.outcome.reason


@pytest.mark.parametrize("tilt", ["refuse", "correct"])
@pytest.mark.parametrize(
    "elements",
    [
        {"AcquisitionNumber": [1] * 4 + [2] * 4, "EchoNumbers": 1},  # helical: it changes half way
        {"AcquisitionTime": [f"1015{n:02}" for n in range(8)], "TriggerTime": [str(n % 3) for n in range(8)]},
        {"EchoTime": [str(n) for n in range(8)]},
        {"TemporalPositionIndex": [1] * 4 + [2] * 4},  # beside each other, not between
    ],
)
def test_marks_that_do_not_lie_between_each_other_part_nothing(write_series, elements, tilt):
    places = [(0.0, 0.0, 2.0 * n) for n in range(8)]

    [case] = sources.read(write_series(places, **elements), Unit.SERIES, tilt=tilt)

    assert case.image.shape[0] == 8


def test_thousands_of_marks_are_told_apart_in_a_moment():
    count, places = 4000, 40
    planes = [Plane((1, 1), None, (1, 0, 0, 0, 1, 0), (0, 0, float(n % places))) for n in range(count)]
    marks = [{"TriggerTime": str(n), "AcquisitionTime": str(n), "EchoTime": "30"} for n in range(count)]
    phases = [one | {"TemporalPositionIndex": str(n // places)} for n, one in enumerate(marks)]

    start = time.process_time()
    alike, parted = volumes(planes, marks, MARK_KEYWORDS), volumes(planes, phases, MARK_KEYWORDS)
    seconds = time.process_time() - start

    assert [len(one.slices) for one in alike] == [count]
    assert [len(one.slices) for one in parted] == [places] * (count // places)
    assert seconds < 2  # each slice compared with each other took 17


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


@pytest.mark.parametrize("tilt", ["refuse", "correct"])
def test_phases_of_an_enhanced_instance_between_each_other_are_never_one_volume(write_dicom, tilt):
    group = {"FrameContentSequence": ("TemporalPositionIndex", [1, 1, 1, 2, 2, 2])}
    path = enhanced(write_dicom, [0, 5, 10, 1, 6, 11], **group)

    one, other = sources.read(path, tilt=tilt)

    assert one.image.read()[0, :, 0, 0].tolist() == [0, 1, 2]
    assert other.image.read()[0, :, 0, 0].tolist() == [3, 4, 5]


def test_frames_of_two_acquisitions_are_not_interpolated(write_dicom):
    group = {"FrameContentSequence": ("FrameAcquisitionNumber", [1, 1, 1, 2, 2, 2])}

    [rejected] = sources.read(enhanced(write_dicom, [0, 5, 10, 1, 6, 11], **group), tilt="correct")

    assert "slices of unlike FrameAcquisitionNumber lie between each other" in rejected.outcome.reason
    assert rejected.outcome.reason.endswith("; read it frame by frame")


def test_frames_that_are_not_told_apart_are_refused(write_dicom):
    path = enhanced(write_dicom, [0, 1, 2, 0, 1, 2], MREchoSequence=("EffectiveEchoTime", [1, 2, 3, 4, 5, 6]))

    [rejected] = sources.read(path)

    assert "several slices lie at the same place" in rejected.outcome.reason
    assert rejected.outcome.reason.endswith("; read it frame by frame")
