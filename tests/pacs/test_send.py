"""Files go to a real Orthanc as they are, each with its own outcome."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pacs.parts import MEDPLUG, Archive, study
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from medplug import CallError, NodeError
from medplug.nodes import Address
from medplug.pacs import send
from medplug.pacs.send import Outgoing, batches

FILES = ["CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm"]


def kept(orthanc, folder: Path) -> dict[str, tuple[str, Dataset]]:
    """What Orthanc keeps: the transfer syntax and the dataset, by SOP Instance UID."""
    import urllib.request

    found = {}
    for one in orthanc.get("/instances"):
        with urllib.request.urlopen(f"http://127.0.0.1:{orthanc.http}/instances/{one}/file", timeout=20) as answer:
            file = folder / f"{one}.dcm"
            file.write_bytes(answer.read())
        dataset = dcmread(file)
        found[dataset.SOPInstanceUID] = (dataset.file_meta.TransferSyntaxUID, dataset)
    return found


@pytest.mark.parametrize("way", ["dimse_url", "web_url"])
def test_files_of_any_transfer_syntax_arrive_as_they_are(orthanc, tmp_path, way):
    paths = [Path(get_testdata_file(name)) for name in FILES]

    found = list(send(paths, getattr(orthanc, way)))

    assert [one.path for one in found] == paths
    assert [one.refused for one in found] == [None] * len(paths)
    expected = {}
    for path in paths:
        dataset = dcmread(path)
        expected[dataset.SOPInstanceUID] = (dataset.file_meta.TransferSyntaxUID, dataset)
    assert kept(orthanc, tmp_path) == expected


def test_a_folder_is_walked_and_what_is_no_dicom_in_it_is_passed_over(orthanc, tmp_path):
    study(tmp_path / "study" / "deep", slices=2)
    (tmp_path / "study" / "notes.txt").write_text("no image")

    found = list(send(tmp_path / "study", orthanc.dimse_url))

    assert [(one.path.name, one.refused) for one in found] == [("0000.dcm", None), ("0001.dcm", None)]
    assert len(orthanc.get("/instances")) == 2


def test_a_refusal_costs_its_own_file_and_is_exit_code_1(orthanc, tmp_path):
    study(tmp_path, slices=2)
    strange = dcmread(tmp_path / "0000.dcm")
    strange.SOPClassUID = strange.file_meta.MediaStorageSOPClassUID = "1.2.826.0.1.3680043.8.498.1"
    strange.save_as(tmp_path / "0000.dcm", enforce_file_format=False)
    (tmp_path / "notes.txt").write_text("no image")

    names = ["notes.txt", "0000.dcm", "0001.dcm"]
    ran = subprocess.run(
        [*MEDPLUG, "send", *names, "--to", orthanc.dimse_url], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert ran.returncode == 1, ran.stderr
    assert ran.stdout.splitlines() == [
        "notes.txt: refused: is no DICOM file",
        "0000.dcm: refused: its SOP class in its transfer syntax is not accepted there",
    ]
    assert f"1 stored, 2 refused by {orthanc.dimse_url}" in ran.stderr
    assert len(orthanc.get("/instances")) == 1


def test_a_folder_without_dicom_is_a_wrong_call(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")

    ran = subprocess.run(
        [*MEDPLUG, "send", str(tmp_path), "--to", "dimse://A@127.0.0.1:9"], capture_output=True, text=True, timeout=60
    )

    assert (ran.returncode, ran.stderr) == (2, f"Error: no DICOM lies in {tmp_path}\n")


def test_a_status_is_said_in_words(tmp_path):
    from pacs.orthanc import free_port
    from pynetdicom import AE, StoragePresentationContexts, evt

    study(tmp_path, slices=3)
    statuses = iter([0xA700, 0xB000, 0x0000])
    port = free_port()
    entity = AE("FULL")
    entity.supported_contexts = StoragePresentationContexts
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: next(statuses))]
    )
    try:
        found = list(send(tmp_path, f"dimse://FULL@127.0.0.1:{port}"))
    finally:
        server.shutdown()

    assert [(one.refused, one.note) for one in found] == [
        ("0xA700 Refused: Out of Resources", None),
        (None, "0xB000 Coercion of Data Elements"),
        (None, None),
    ]


def test_a_file_on_which_the_node_breaks_off_costs_itself_alone(tmp_path):
    archive = Archive()
    archive.start()
    study(tmp_path, slices=4)
    sending = send(tmp_path, archive.url)
    try:
        assert next(sending).path.name == "0000.dcm"
        for association in archive.associations:
            association.abort()
        found = [(one.path.name, one.refused) for one in sending]
    finally:
        archive.stop()

    assert found == [("0001.dcm", "the node broke off while it was sent"), ("0002.dcm", None), ("0003.dcm", None)]


def test_a_truncated_file_is_refused_and_those_behind_it_arrive(orthanc, tmp_path):
    study(tmp_path, slices=4)
    file = tmp_path / "0001.dcm"
    file.write_bytes(file.read_bytes()[:-3000])

    found = [one.refused is None for one in send(tmp_path, orthanc.web_url)]

    assert found == [True, False, True, True]
    assert len(orthanc.get("/instances")) == 3


def test_a_node_that_breaks_off_on_every_file_is_not_asked_for_ever(tmp_path):
    archive = Archive()
    archive.start()
    study(tmp_path, slices=6)
    archive.breaks_off = {str(dcmread(file).SOPInstanceUID) for file in tmp_path.iterdir()}
    sending = send(tmp_path, archive.url)
    try:
        assert [next(sending).refused for _ in range(2)] == ["the node broke off while it was sent"] * 2
        with pytest.raises(NodeError, match=r"127\.0\.0\.1:\d+: broke off while it was sent"):
            next(sending)
    finally:
        archive.stop()


def test_an_association_proposes_128_contexts_at_most():
    files = [Outgoing(Path(f"{number}"), f"1.2.{number % 150}", "1.2.840.10008.1.2") for number in range(400)]

    made = list(batches(files))

    assert [file for batch in made for file in batch] == files
    assert [len(batch) for batch in made] == [128, 128, 128, 16]
    assert all(len({file.sop_class for file in batch}) <= 128 for batch in made)


def test_more_classes_than_an_association_has_contexts_for_arrive(orthanc, tmp_path):
    """129 transfer syntaxes and classes are hard to find: the limit is made small instead."""
    from medplug.nodes import dimse

    shutil.copy(get_testdata_file("CT_small.dcm"), tmp_path / "1.dcm")
    shutil.copy(get_testdata_file("MR_small.dcm"), tmp_path / "2.dcm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dimse, "MAX_CONTEXTS", 1)
        assert [one.refused for one in send(tmp_path, orthanc.dimse_url)] == [None, None]
    assert len(orthanc.get("/instances")) == 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("dimse://NOBODY@127.0.0.1:{dicom}", "rejects the association"),
        ("dimse://ORTHANC@127.0.0.1:1", "cannot be reached"),
        ("dimse://ORTHANC@no.such.host.invalid:104", "no host with this name"),
        ("dicomweb://127.0.0.1:1/dicom-web", "cannot be reached"),
        ("dicomweb://127.0.0.1:{http}/elsewhere", "HTTP status 404"),
        ("dicomwebs://127.0.0.1:{http}/dicom-web", "TLS fails"),
        ("dimses://ORTHANC@127.0.0.1:{dicom}", "do the certificates fit"),
    ],
)
def test_a_node_that_cannot_be_talked_to_is_named(orthanc, tmp_path, url, message):
    study(tmp_path)

    with pytest.raises(NodeError, match=message):
        list(send(tmp_path, url.format(dicom=orthanc.dicom, http=orthanc.http)))


@pytest.mark.parametrize(
    ("url", "module"), [("dimse://PACS@127.0.0.1:1", "pynetdicom"), ("dicomweb://127.0.0.1:1/", "dicomweb_client")]
)
def test_what_is_not_installed_is_named_with_the_way_to_get_it(tmp_path, monkeypatch, url, module):
    study(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(CallError, match=rf"through {module}: pip install 'medplug\[pacs\]'"):
        list(send(tmp_path, url))


def test_a_path_that_does_not_exist_is_a_wrong_call(tmp_path):
    with pytest.raises(CallError, match=r"nowhere\.dcm does not exist"):
        list(send(tmp_path / "nowhere.dcm", "dimse://ORTHANC@127.0.0.1:1"))


def test_an_address_says_what_it_is():
    node = Address.parse("dimses://PACS@host.example:2762?calling=ME&ca=ca.pem&cert=me.pem&key=me.key")

    assert (node.title, node.calling, node.host, node.port, node.tls, node.web) == (
        *("PACS", "ME", "host.example", 2762),
        *(True, False),
    )
    assert (node.ca, node.cert, node.key) == (Path("ca.pem"), Path("me.pem"), Path("me.key"))
    assert str(node) == "dimses://PACS@host.example:2762"
    assert Address.parse("dicomwebs://host/dicom-web").base == "https://host:443/dicom-web"
    assert str(Address.parse("dimse://PACS@[::1]:104")) == "dimse://PACS@[::1]:104"


def test_an_ae_title_with_a_blank_is_written_as_urls_write_it():
    node = Address.parse("dimse://MY%20PACS@host:104")

    assert node.title == "MY PACS"
    assert str(node) == "dimse://MY%20PACS@host:104"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://host/dicom-web", "http:// is no way to a node"),
        ("dimse://host:104", "names no AE title"),
        ("dimse://PACS@host", "names no port"),
        ("dimse://PACS@:104", "names no host"),
        ("dimse://PACS@host:99999", "has no port that is one"),
        ("dimse://A-TITLE-THAT-IS-TOO-LONG@host:104", "is no AE title"),
        ("dimse://PACS@host:104/1.2.3", "names a study where a node is wanted"),
        ("dimse://PACS@host:104?PatientID=7", "names a study where a node is wanted"),
        ("dimse://PACS@host:104?ca=ca.pem", "write dimses://"),
        ("dimses://PACS@host:104?cert=me.pem", "go together"),
        ("dimse://PACS@host:104?titel=ME", "'titel' is not known"),
        ("dicomweb://me:secret@host/dicom-web", "~/.netrc"),
        ("dicomweb://me:secret@host:99999/x", "dicomweb://host:99999/x: has no port that is one"),
        ("dimse://PACS:secret@host:abc", "dimse://host:abc: has no port that is one"),
        ("dimse://PACS:secret/2@host:104", "dimse://host:104: has no port that is one"),
        ("me:secret@host:104", "host:104: me:// is no way to a node"),
        ("dimse://A%0ATITLE@host:104", "is no AE title"),
        ("dicomweb://host/dicom-web?calling=ME", "knows no AE titles"),
    ],
)
def test_a_wrong_address_says_what_is_wrong_with_it(url, message):
    with pytest.raises(CallError) as caught:
        Address.parse(url)

    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_whose_header_is_damaged_is_refused_and_not_sent(orthanc, tmp_path):
    study(tmp_path, slices=1)
    (tmp_path / "damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    bare = dcmread(tmp_path / "0000.dcm")
    bare.SOPClassUID = SecondaryCaptureImageStorage
    bare.SOPInstanceUID = generate_uid()
    (tmp_path / "bare.dcm").write_bytes((tmp_path / "0000.dcm").read_bytes()[132:])

    found = {one.path.name: one.refused for one in send(tmp_path, orthanc.dimse_url)}

    assert found["0000.dcm"] is None
    assert found["damaged.dcm"] is not None
    assert found["bare.dcm"] is not None
