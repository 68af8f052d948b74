"""Small DICOM sources of every make, and the models that answer them, for the tests of the DICOM writers."""

import re
import shutil
import subprocess
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from small_models import Above, Brightness, Halves, Loudest
from torch import nn

import medplug
from medplug import Display, Percentiles, Preprocessing, Resize
from medplug.writers import builtin

CR, MG, XA = (f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("1", "1.2", "12.1"))
_SHOWN = Display(fallback=Percentiles(1, 99))
_PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID", "PositionReferenceIndicator")


class Outlines(Above):
    name = "outlines"

    def __init__(self, options=None, labels=None):
        super().__init__(options, labels or medplug.Labels(names=("bright", "dark")))

    def preprocessing(self):
        return Preprocessing(values=_SHOWN)

    def decode(self, output, batch):
        shown = output["output"][:, 0]
        bright, dark = (2 * shown - 1).clamp(0, 1), (0.6 - 2 * shown).clamp(0, 1)
        stacked = torch.stack([1 - bright - dark, bright, dark], dim=1).clamp(0, 1)
        return [medplug.Segmentation(labels=self.labels.names, probabilities=one) for one in stacked.float().numpy()]


class Sides(Halves):
    def preprocessing(self):
        return Preprocessing(values=_SHOWN, geometry=(Resize((32, 32)),))


class VolumeSides(Halves):
    """Which side of a volume is brighter."""

    def preprocessing(self):
        return Preprocessing(values=_SHOWN, geometry=(Resize((4, 32, 32)),))

    def build(self):
        return SidesOfVolume()


class SidesOfVolume(nn.Module):
    def __init__(self):
        super().__init__()
        self.halves = nn.Conv3d(1, 2, 1, bias=False)
        nn.init.ones_(self.halves.weight)
        ramp = torch.linspace(1, -1, 32)
        self.register_buffer("sides", torch.stack([ramp, -ramp])[None, :, None, None, :])

    def forward(self, image):
        return (self.halves(image) * self.sides).mean(dim=(2, 3, 4)) * 10


class Bright(Brightness):
    def preprocessing(self):
        return Preprocessing(values=_SHOWN, geometry=(Resize((64, 64)),))


class Spots(Loudest):
    def preprocessing(self):
        return Preprocessing(values=_SHOWN)


def of_volumes(model, unit=medplug.Unit.SERIES):
    """The model, asked about volumes."""
    model = VolumeSides if model is Sides else model
    changed = type(model.__name__, (model,), {})
    changed.contract = lambda self: medplug.InputContract(unit=unit, dimensions=3, channels=(1,))
    return changed


def of_frames(model):
    """The model, asked about each frame."""
    changed = type(model.__name__, (model,), {})
    changed.contract = lambda self: medplug.InputContract(unit=medplug.Unit.FRAME)
    return changed


def small(**changes) -> Dataset:
    """A CT slice of 128 x 128 pixels; a value of None removes the element."""
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.remove_private_tags()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Doe^Jane", "P-17", "19700102"
    dataset.PatientSex, dataset.PatientWeight, dataset.StudyID = "F", "61.5", "S1"
    for keyword, value in changes.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    if "SOPInstanceUID" in dataset:
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


def saved(dataset: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)
    return path


def ct(folder):
    return saved(small(), folder / "ct.dcm")


def mr(folder):
    shutil.copy(get_testdata_file("MR_small.dcm"), folder / "mr.dcm")
    return folder / "mr.dcm"


def projection(folder, modality, sop_class, **changes):
    """A projection without position, spacing or frame of reference."""
    nowhere = dict.fromkeys([*_PLACE, "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept"])
    dataset = small(SOPClassUID=sop_class, Modality=modality, ImagerPixelSpacing=[0.1, 0.1], **nowhere, **changes)
    return saved(dataset, folder / f"{modality.lower()}.dcm")


def cr(folder):
    return projection(folder, "CR", CR, BodyPartExamined="CHEST", ViewPosition="PA")


def mg(folder):
    return projection(folder, "MG", MG, BodyPartExamined="BREAST", ImageLaterality="L", ViewPosition="CC")


def turned(degrees: float = 25.0) -> np.ndarray:
    """A rotation about an axis that is none of the patient's: columns are the directions of row, column and slice."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.cross(np.eye(3), axis)
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross.T + (1 - np.cos(angle)) * cross.T @ cross.T


def oblique(folder, pixels=None, spacing=(2.5, 0.8, 0.7), origin=(-40.0, 12.5, 7.25)):
    """A series of slices [slices, rows, columns] that lie across the patient's axes."""
    if pixels is None:
        rows = np.arange(5 * 24 * 20).reshape(5, 24, 20)
        pixels = (rows * 37 % 1000).astype(np.int16)
    directions = turned()
    for index, plane in enumerate(pixels):
        position = np.array(origin) + directions[:, 2] * spacing[0] * index
        dataset = small(
            SOPInstanceUID=f"1.2.826.0.1.3680043.10.1.{index + 1}",
            SeriesInstanceUID="1.2.826.0.1.3680043.10.1",
            InstanceNumber=index + 1,
            ImagePositionPatient=[round(float(v), 6) for v in position],
            ImageOrientationPatient=[round(float(v), 8) for v in (*directions[:, 0], *directions[:, 1])],
            PixelSpacing=[spacing[1], spacing[2]],
            SliceThickness=spacing[0],
        )
        dataset.Rows, dataset.Columns = plane.shape
        dataset.PixelData = np.ascontiguousarray(plane, "<i2").tobytes()
        saved(dataset, folder / "series" / f"{len(pixels) - index:03d}.dcm")
    return folder / "series"


def angiography(folder):
    """A multi-frame instance of the old kind: frames in time, with no place in the patient."""
    one = small()
    nowhere = dict.fromkeys([*_PLACE, "PixelSpacing", "SliceThickness"])
    dataset = small(SOPClassUID=XA, Modality="XA", NumberOfFrames=4, **nowhere)
    dataset.PixelData = b"".join(np.roll(one.pixel_array, 9 * n, 0).astype("<i2").tobytes() for n in range(4))
    return saved(dataset, folder / "xa.dcm")


def old_frames(folder):
    """A real MR of ten frames, without functional groups."""
    source = Path(old_frames.data) / "dicom-files" / "files" / "pydicom-data" / "emri_small.dcm"
    shutil.copy(source, folder / "old.dcm")
    return folder / "old.dcm"


def reordered(folder, order=(8, 0, 4, 12, 16)):
    """An enhanced CT: oblique frames with functional groups, not in the order of their places."""
    directions, planes = turned(), []
    dataset = small(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1",
        NumberOfFrames=len(order),
        **dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")),
        **dict.fromkeys(("RescaleSlope", "RescaleIntercept")),
    )
    measures, orientation, transform = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.8, 0.7], 5
    orientation.ImageOrientationPatient = [round(float(v), 8) for v in (*directions[:, 0], *directions[:, 1])]
    transform.RescaleSlope, transform.RescaleIntercept, transform.RescaleType = 1, -100, "HU"
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence = [transform]
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], []
    for height in order:
        pixels = np.full((24, 20), 10 * height, "<i2")
        pixels[2 + height // 2 : 6 + height // 2, 3:9] = 1000 + height
        planes.append(pixels)
        position, content, frame = Dataset(), Dataset(), Dataset()
        place = np.array([-40, 12.5, 7.25]) + directions[:, 2] * height * 1.25
        position.ImagePositionPatient = [round(float(v), 6) for v in place]
        content.StackID, content.InStackPositionNumber = "1", height // 4 + 1
        frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
        dataset.PerFrameFunctionalGroupsSequence.append(frame)
    dataset.Rows, dataset.Columns = 24, 20
    dataset.PixelData = np.stack(planes).tobytes()
    return saved(dataset, folder / "reordered.dcm")


SOURCES = {  # a source, and how the models are asked about it
    "ct": (ct, lambda model: model),
    "mr": (mr, lambda model: model),
    "cr": (cr, lambda model: model),
    "mg": (mg, lambda model: model),
    "oblique series": (oblique, of_volumes),
    "one oblique slice": (lambda folder: next(iter(sorted(oblique(folder).iterdir()))), lambda model: model),
    "frames of angiography": (angiography, of_frames),
    "volume of angiography": (angiography, of_volumes),
    "volume of old frames": (old_frames, of_volumes),
    "old frames": (old_frames, of_frames),
    "enhanced volume": (reordered, of_volumes),
    "enhanced frames": (reordered, of_frames),
}
TASKS = {"segmentation": Outlines, "classification": Sides, "anomaly": Spots, "regression": Bright}
WRITERS = [name for name in builtin() if name.startswith("dicom-")]


def source_and_model(source, task, folder, test_data):
    """The path of a source, and the model of a task that is asked about it."""
    old_frames.data = test_data
    make, asked = SOURCES[source]
    folder.mkdir(parents=True, exist_ok=True)
    return make(folder), asked(TASKS[task])()


def answered(model, path):
    """A session, and its answers with everything that a writer may ask for."""
    session = medplug.Session(model, device="cpu", workers=1)
    cases = medplug.sources.read(str(path), session.loaded.contract.unit)
    explained = model.task is medplug.Task.CLASSIFICATION
    answers = session.answer(cases, explanations=explained, keep_probabilities=True)
    return session, list(islice(answers, 2))  # of many frames, two tell as much


def written(folder, session, found, names=None):
    """Write answers through every DICOM writer that suits, or those named; return the files by writer."""
    suited = [builtin()[name] for name in names or WRITERS if builtin()[name].suits(session.loaded.model.task)]
    writers = [kind(folder, session.loaded) for kind in suited]
    for writer in writers:
        writer.alongside(writers)
    for writer in writers:
        for answer in found:
            writer.write(answer)
        writer.close()
    return {writer.name: sorted((folder / writer.name).glob("*.dcm")) for writer in writers}


def complaints(file):
    """What dciodvfy calls an error."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy is not on PATH; Debian's dicom3tools brings it")
    said = subprocess.run([tool, str(file)], capture_output=True, text=True, timeout=60, errors="replace").stderr
    assert re.search(r"^\w+$", said, re.M), f"dciodvfy does not name what {file} is: {said}"
    return [line for line in said.splitlines() if line.startswith("Error")]
