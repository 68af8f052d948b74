"""What is drawn at known millimetres comes back at those millimetres, through a preprocessing that turns and scales."""

import highdicom as hd
import numpy as np
import pytest
import torch
from pydicom import dcmread
from small_models import Slices
from writers.studies import Outlines, answered, complaints, oblique, of_volumes, reordered, turned, written

import medplug
from medplug import Preprocessing, Rotate, Spacing, Window, sources

SPACING, ORIGIN, RADIUS = (2.5, 0.9, 0.8), (-40.0, 12.5, 7.25), 14.0


class Ball(Slices):
    """Outlines what is brighter than 500, on a turned grid of 1.2 mm."""

    name = "ball"

    def preprocessing(self):
        return Preprocessing(
            values=Window(center=500, width=1000), geometry=(Spacing((1.2, 1.2, 1.2)), Rotate(degrees=20, axis=0))
        )

    def decode(self, output, batch):
        above = torch.sigmoid((output["output"][:, 0] - 0.5) * 8)
        stacked = torch.stack([1 - above, above], dim=1)
        return [medplug.Segmentation(labels=("ball",), probabilities=one) for one in stacked.float().numpy()]


@pytest.fixture
def ball(tmp_path, monkeypatch):
    """An oblique series with a ball, and the ball's centre in LPS mm."""
    monkeypatch.setenv("MEDPLUG_STATE", str(tmp_path / "state"))
    shape = (22, 64, 60)
    index = np.stack(np.mgrid[: shape[0], : shape[1], : shape[2]], axis=-1)
    directions = turned()
    steps = np.stack([directions[:, 2] * SPACING[0], directions[:, 1] * SPACING[1], directions[:, 0] * SPACING[2]], 1)
    places = index @ steps.T + ORIGIN
    centre = np.array([11.3, 30.6, 27.1]) @ steps.T + ORIGIN
    inside = np.clip(RADIUS + 0.5 - np.linalg.norm(places - centre, axis=-1), 0, 1)  # a soft edge of 1 mm
    pixels = np.rint(inside * 1000 + 1024).astype(np.int16)  # CT_small's intercept is -1024
    return oblique(tmp_path, pixels, SPACING, ORIGIN), centre


def test_a_ball_drawn_at_known_millimetres_comes_back_there(ball, tmp_path):
    path, centre = ball
    session, found = answered(Ball(), path)

    files = written(tmp_path / "out", session, found)

    [file] = files["dicom-seg"]
    assert complaints(file) == []
    read = hd.seg.segread(file)
    volume = read.get_volume(combine_segments=True)  # its own positions, orientation and spacing, by highdicom
    index = np.argwhere(volume.array > 0)
    places = volume.map_indices_to_reference(index)
    size = len(index) * np.prod(volume.spacing)
    assert np.linalg.norm(places.mean(axis=0) - centre) < 0.15
    assert size == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.03)
    distances = np.linalg.norm(places - centre, axis=1)
    assert distances.max() < RADIUS + 2.0  # a voxel's diagonal is 2.8 mm
    [group] = hd.sr.srread(files["dicom-sr"][0]).content.get_volumetric_roi_measurement_groups()
    assert group.get_measurements()[0].value == pytest.approx(size)


def test_an_anomaly_map_peaks_where_the_ball_is(ball, tmp_path):
    class Bright(Ball):
        name, task = "bright", medplug.Task.ANOMALY

        def decode(self, output, batch):
            return [medplug.Anomaly(score=1.0, map=one[0].numpy()) for one in output["output"]]

    path, centre = ball
    session, found = answered(Bright(), path)

    [file] = written(tmp_path / "out", session, found)["dicom-map"]

    read = hd.imread(file)
    frames = read.pixel_array.astype(np.float64)
    weighed = []
    for frame, item in zip(frames, read.PerFrameFunctionalGroupsSequence):
        shared = read.SharedFunctionalGroupsSequence[0]
        to_reference = hd.spatial.PixelToReferenceTransformer(
            image_position=item.PlanePositionSequence[0].ImagePositionPatient,
            image_orientation=shared.PlaneOrientationSequence[0].ImageOrientationPatient,
            pixel_spacing=shared.PixelMeasuresSequence[0].PixelSpacing,
        )
        rows, columns = np.nonzero(frame > 0.5)
        if len(rows):
            weighed.append(to_reference(np.stack([columns, rows], axis=1)))
    assert np.linalg.norm(np.concatenate(weighed).mean(axis=0) - centre) < 0.15


def test_a_ball_in_a_tilted_stack_comes_back_on_its_slices(tmp_path, monkeypatch):
    """A gantry turned by 20 degrees, while the table moves straight: the stack is sheared, and so are its segments."""
    monkeypatch.setenv("MEDPLUG_STATE", str(tmp_path / "state"))
    row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(np.radians(20)), np.sin(np.radians(20))])
    steps = np.stack([[0, 0, SPACING[0]], column * SPACING[1], row * SPACING[2]], axis=1)
    index = np.stack(np.mgrid[:22, :64, :60], axis=-1)
    centre = np.array([11.3, 30.6, 27.1]) @ steps.T + ORIGIN
    distances = np.linalg.norm(index @ steps.T + ORIGIN - centre, axis=-1)
    pixels = np.rint(np.clip(RADIUS + 0.5 - distances, 0, 1) * 1000 + 1024).astype(np.int16)
    path = oblique(tmp_path, pixels, SPACING, ORIGIN)
    for number, file in enumerate(sorted(path.iterdir(), key=lambda file: dcmread(file).InstanceNumber)):
        dataset = dcmread(file)
        dataset.ImageOrientationPatient = [*row, *(f"{v:.6f}" for v in column)]
        dataset.ImagePositionPatient = (np.array([number, 0, 0]) @ steps.T + ORIGIN).tolist()
        dataset.PixelData = pixels[number].tobytes()
        dataset.save_as(file)
    session = medplug.Session(Ball(), device="cpu")
    found = list(session.answer(sources.read(path, medplug.Unit.SERIES, tilt="correct")))

    [file] = written(tmp_path / "out", session, found)["dicom-seg"]

    assert complaints(file) == []
    read = dcmread(file)
    shared, places = read.SharedFunctionalGroupsSequence[0], []
    for frame, item in zip(read.pixel_array, read.PerFrameFunctionalGroupsSequence, strict=True):
        to_reference = hd.spatial.PixelToReferenceTransformer(
            image_position=item.PlanePositionSequence[0].ImagePositionPatient,
            image_orientation=shared.PlaneOrientationSequence[0].ImageOrientationPatient,
            pixel_spacing=shared.PixelMeasuresSequence[0].PixelSpacing,
        )
        rows, columns = np.nonzero(frame)
        if len(rows):
            places.append(to_reference(np.stack([columns, rows], axis=1)))
    places = np.concatenate(places)
    voxel = np.prod(SPACING) * np.cos(np.radians(20))
    assert np.linalg.norm(places.mean(axis=0) - centre) < 0.15
    assert len(places) * voxel == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.03)
    assert np.linalg.norm(places - centre, axis=1).max() < RADIUS + 2.0


def test_each_frame_of_a_segmentation_names_the_frame_that_lies_where_it_does(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPLUG_STATE", str(tmp_path / "state"))
    path = reordered(tmp_path)
    session, found = answered(of_volumes(Outlines)(), path)

    [file] = written(tmp_path / "out", session, found, ["dicom-seg"])["dicom-seg"]

    source, made = dcmread(path), dcmread(file)
    named = set()
    for item in made.PerFrameFunctionalGroupsSequence:
        frame = int(item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber)
        there = source.PerFrameFunctionalGroupsSequence[frame - 1].PlanePositionSequence[0].ImagePositionPatient
        assert list(item.PlanePositionSequence[0].ImagePositionPatient) == pytest.approx(list(there), abs=1e-3)
        named.add(frame)
    assert named == {1, 2, 3, 4, 5}
