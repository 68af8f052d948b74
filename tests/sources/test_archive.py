"""A zip archive is read as the folder of its members, and can neither write elsewhere nor fill disk or memory."""

import gc
import io
import shutil
import stat
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom.data import get_testdata_file

from medplug import Preprocessing, Window, sources
from medplug.case import Case, Unit
from medplug.pipeline import Pipeline
from medplug.result import Refused, Skipped
from medplug.sources import archive


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where members are unpacked."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def zipped(tmp_path):
    """Write a zip of these members, deflated."""

    def write(members, name="study.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for member, content in members:
                made.writestr(member, content)
        return path

    return write


def files_of(folder):
    return [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]


def picture():
    stream = io.BytesIO()
    Pillow.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("unit", [Unit.INSTANCE, Unit.SERIES])
def test_an_archive_holds_what_its_folder_holds(write_series, zipped, unit):
    folder = write_series([(0, 0, float(z)) for z in (2, 0, 1)])
    (folder / "deeper").mkdir()
    (folder / "deeper" / "picture.png").write_bytes(picture())
    np.save(folder / "deeper" / "array.npy", np.zeros((4, 5), np.uint8))
    (folder / "notes.txt").write_text("no image")
    (folder / "half.dcm").write_bytes((folder / "000.dcm").read_bytes()[:600])
    path = zipped(files_of(folder))

    plain, packed = (list(sources.read(source, unit)) for source in (folder, path))

    assert [type(found) for found in packed] == [type(found) for found in plain]
    for one, other in zip(plain, packed, strict=True):
        assert other.reference.source == one.reference.source.replace(f"{folder}/", f"{path}:") or unit is Unit.SERIES
        if isinstance(one, Case):
            np.testing.assert_array_equal(other.image.read(), one.image.read())
            assert other.reference.series_instance_uid == one.reference.series_instance_uid
        else:
            assert other.outcome.reason == one.outcome.reason.replace(f"{folder}/", f"{path}:")


def test_an_archive_in_a_folder_is_read_and_one_in_an_archive_is_not(write_dicom, zipped, tmp_path):
    inner = zipped([("a.dcm", write_dicom("a.dcm").read_bytes())], "inner.zip")
    outer = zipped([("inner.zip", inner.read_bytes())], "outer.zip")
    folder = tmp_path / "found"
    folder.mkdir()
    shutil.move(inner, folder)
    shutil.move(outer, folder)

    read, not_read = sources.read(folder)

    assert read.reference.source == f"{folder}/inner.zip:a.dcm"
    assert isinstance(not_read.outcome, Skipped)
    assert not_read.outcome.reason == f"{folder}/outer.zip:inner.zip: is an archive in an archive, which is not opened"


def test_members_are_unpacked_for_as_long_as_their_pixels_may_be_read(write_dicom, zipped, temporary):
    stored = write_dicom("a.dcm", np.arange(4000, dtype=np.uint16).reshape(40, 100)).read_bytes()
    path = zipped([("a.dcm", stored), ("b.png", picture()), ("notes.txt", "x")])

    cases = [found for found in sources.read(path) if isinstance(found, Case)]
    path.unlink()

    [folder] = temporary.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(list(folder.iterdir())) == 2
    image = cases[0].images["image"]  # what a writer may keep, without the case
    cases = cases[1:]
    gc.collect()
    assert image.read()[0, -1, -1] == 3999
    assert Pipeline(Preprocessing(values=Window(2000, 4000))).prepare(Case(cases[0].reference, {"image": image}))
    assert cases[0].image.read()[0, -1, -1] == 19
    del image, cases
    gc.collect()
    assert not list(temporary.iterdir())


def test_a_series_keeps_its_members(write_series, zipped, temporary):
    path = zipped(files_of(write_series([(0, 0, float(z)) for z in range(3)])))

    [case] = sources.read(path, Unit.SERIES)
    gc.collect()

    assert case.image.read()[0, :, 0, 0].tolist() == [0, 1, 2]
    del case
    gc.collect()
    assert not list(temporary.iterdir())


def test_names_in_an_archive_name_no_path(write_dicom, zipped, tmp_path, temporary):
    stored = write_dicom("a.dcm").read_bytes()
    names = ["../../escaped.dcm", "/etc/escaped.dcm", "..\\escaped.dcm", "a\nb\x1b[31m.dcm", "same.dcm", "same.dcm"]
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zipped([(name, stored) for name in names])
    before = {file for file in tmp_path.rglob("*") if temporary not in file.parents}

    cases = list(sources.read(path))

    assert all(isinstance(case, Case) for case in cases)
    assert sorted(case.reference.source.removeprefix(f"{path}:") for case in cases) == [
        "a?b?[31m.dcm",
        "escaped.dcm",
        "escaped.dcm:2",
        "etc/escaped.dcm",
        "same.dcm",
        "same.dcm:2",
    ]
    assert {file for file in tmp_path.rglob("*") if temporary not in file.parents} == before
    [folder] = temporary.iterdir()
    assert sorted(file.name for file in folder.iterdir()) == [f"{number:06}.dcm" for number in range(6)]


def refusals(path):
    return {
        found.reference.source.removeprefix(f"{path}:"): found.outcome.reason.removeprefix(
            f"{found.reference.source}: "
        )
        for found in sources.read(path)
        if not isinstance(found, Case) and isinstance(found.outcome, Refused)
    }


def test_a_bomb_is_refused_member_by_member(zipped, monkeypatch, write_dicom):
    monkeypatch.setattr(archive, "MAX_IMAGE_BYTES", 1 << 20)
    monkeypatch.setattr(archive, "_SMALL_BYTES", 3 << 20)
    path = zipped([(f"{n}.dcm", bytes(1 << 20)) for n in range(6)] + [("9.dcm", bytes(2 << 20))])

    found = refusals(path)

    assert found["9.dcm"] == "claims 2 MiB, more than 1"
    inflated = "is left out, since its archive inflates to too much"
    assert [name for name, reason in found.items() if reason == inflated] == ["3.dcm", "4.dcm", "5.dcm"]
    monkeypatch.setattr(archive, "_MAX_MEMBERS", 3)
    assert refusals(path) == {str(path): f"{path}: holds 7 files, more than 3".removeprefix(f"{path}: ")}


def test_a_member_that_would_fill_the_disk_is_refused_by_name(zipped, write_dicom, monkeypatch, temporary):
    small, large = (write_dicom(f"{n}.dcm", np.zeros((n, n), np.uint16)).read_bytes() for n in (10, 2000))
    path = zipped([("large.dcm", large), ("small.dcm", small)])
    usage = shutil.disk_usage(temporary)
    free = (256 << 20) + len(large) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=free))

    found = refusals(path)

    assert list(found) == ["large.dcm"]
    assert found["large.dcm"].startswith("takes 7 MiB unpacked, which would leave less than 256 MiB on the disk")
    free += 1
    assert refusals(path) == {}


def test_a_member_that_claims_less_than_it_holds_is_refused(zipped, write_dicom):
    path = zipped([("a.dcm", write_dicom("a.dcm").read_bytes())])
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", 300)  # the uncompressed size
    path.write_bytes(content)

    [reason] = refusals(path).values()

    assert "BadZipFile" in reason or "cut short" in reason or "without pixels" in reason


def test_encrypted_and_damaged_members_are_refused_and_others_read(zipped, write_dicom):
    stored = write_dicom("a.dcm", np.random.default_rng(0).integers(0, 999, (40, 50)).astype(np.uint16)).read_bytes()
    path = zipped([("a.dcm", stored), ("b.dcm", stored), ("c.dcm", stored)])
    content = bytearray(path.read_bytes())
    first, second = (content.index(b"PK\x01\x02"), content.index(b"PK\x03\x04", 10))
    content[first + 8] |= 1
    content[second + 200 : second + 210] = bytes(10)
    path.write_bytes(content)

    found = refusals(path)

    assert found["a.dcm"] == "is encrypted"
    assert found["b.dcm"].startswith("cannot be read (")
    assert [case.reference.source for case in sources.read(path) if isinstance(case, Case)] == [f"{path}:c.dcm"]


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(100), b"", b"PK\x05\x06"])
def test_an_archive_that_is_none_is_refused_by_name(tmp_path, content):
    path = tmp_path / "study.zip"
    path.write_bytes(content)

    [rejected] = sources.read(path)

    assert rejected.outcome.code == "unreadable"
    assert str(path) in rejected.outcome.reason


def test_an_empty_archive_is_skipped(zipped):
    path = zipped([])

    [found] = sources.read(path)

    assert found.outcome == Skipped(reason=f"{path}: is an empty archive")


def test_a_document_that_happens_to_be_an_archive_is_no_source(zipped, tmp_path):
    path = zipped([("word/document.xml", "<xml/>")], "letter.docx")

    [found] = sources.read(path.parent)

    assert found.outcome == Skipped(reason=f"{path}: holds no image")


def test_deflated_dicom_in_an_archive(zipped):
    stored = Path(get_testdata_file("image_dfl.dcm", download=False)).read_bytes()

    [case] = sources.read(zipped([("image_dfl.dcm", stored)]))

    assert case.image.read().shape == (1, 512, 512)
