"""A header is parsed in full from the file's first bytes in memory, or from the file: nobody can tell which it was."""

import warnings

import numpy as np
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medplug import sources
from medplug.case import Case
from medplug.sources import dicom_header
from medplug.sources.dicom_header import read_header


def sequence(count, pixels):
    """Items of undefined length; of `pixels`, as an icon has them."""
    items = []
    for number in range(count):
        item = Dataset()
        item.is_undefined_length_sequence_item = True
        item.ImagePositionPatient = [0, 0, float(number)]
        if pixels:
            item.BitsAllocated = 8
            item.PixelData = bytes(range(16))
        items.append(item)
    element = DataElement(0x00880200, "SQ", items)
    element.is_undefined_length = True
    return element


@pytest.fixture(autouse=True)
def unscanned(monkeypatch):
    """Every header takes the way of the unusual ones."""
    monkeypatch.setattr(dicom_header, "scan", lambda head: None)


@pytest.fixture
def both(monkeypatch):
    """A header as it is read, and as it is read from the file alone; nothing may warn."""

    def read(path):
        with warnings.catch_warnings(action="error"):
            usual = read_header(str(path))
            with monkeypatch.context() as patched:
                patched.setattr(dicom_header, "_in_memory", lambda head: None)
                plain = read_header(str(path))
        return usual, plain

    return read


def same(usual, plain):
    assert usual.dataset == plain.dataset
    assert usual.dataset.file_meta == plain.dataset.file_meta
    told = ("transfer_syntax", "pixel_keyword", "pixel_bytes", "present_bytes", "pixel_offset", "stamp")
    assert [getattr(usual, name) for name in told] == [getattr(plain, name) for name in told]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("offset", range(0, 96, 2))
def test_wherever_the_head_ends(write_dicom, both, monkeypatch, syntax, offset):
    """At every second byte of an icon, of items of undefined length, of their tags and lengths, and of the pixels."""
    path = write_dicom("a.dcm", np.arange(900, dtype=np.uint16).reshape(30, 30))
    dataset = Dataset()  # anew: one that was read keeps its byte order
    for element in dicom_header.read_with_pixels(str(path)):
        dataset.add(element)
    dataset.add(sequence(3, pixels=True))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    little = syntax != ExplicitVRBigEndian
    dataset.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little, enforce_file_format=True)
    tag = b"\x88\x00\x00\x02" if little else b"\x00\x88\x02\x00"
    begin = path.read_bytes().index(tag)

    monkeypatch.setattr(dicom_header, "_HEAD_BYTES", begin + offset)
    same(*both(path))
    monkeypatch.setattr(dicom_header, "_HEAD_BYTES", path.stat().st_size - 1800 + offset - 48)
    same(*both(path))


def test_an_icon_before_groups_of_hundreds_of_frames(write_dicom, both):
    path = write_dicom("a.dcm", np.zeros((900, 8, 8), np.uint16), NumberOfFrames=900)
    dataset = dicom_header.read_with_pixels(str(path))
    icon = sequence(1, pixels=True)
    groups = sequence(900, pixels=False)
    dataset.add(icon)
    dataset.PerFrameFunctionalGroupsSequence = groups.value
    dataset["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
    dataset.save_as(path)

    usual, plain = both(path)

    same(usual, plain)
    assert usual.pixel_offset > 2**15
    assert [type(case) for case in sources.read(path)] == [Case]


def test_a_short_header_is_parsed_in_memory_and_a_deflated_one_is_not(write_dicom, monkeypatch):
    found = []
    parse = dicom_header._in_memory
    monkeypatch.setattr(dicom_header, "_in_memory", lambda head: found.append(parse(head)) or found[-1])
    path = write_dicom("a.dcm", np.zeros((200, 200), np.uint16))

    read_header(str(path))
    assert found[0] is not None

    dataset = dicom_header.read_with_pixels(str(path))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = np.random.default_rng(0).bytes(80_000)
    dataset.save_as(path)
    read_header(str(path))
    assert len(found) == 1


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("stored", [b"", b"\1\0\2\0"], ids=["empty", "a table"])
def test_a_table_without_its_descriptor_is_no_reason_to_lose_the_image(write_dicom, keyword, stored):
    """Without it pydicom cannot tell the table's type, where the VR is implicit."""
    path = write_dicom("a.dcm")
    dataset = dicom_header.read_with_pixels(str(path))
    item = Dataset()
    item.LUTExplanation = "curve"
    item.add(DataElement(0x00283006, "OW", stored))
    setattr(dataset, keyword, [item])
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=True, little_endian=True)

    [case] = sources.read(path)

    assert isinstance(case, Case)
