"""Query and retrieve with archives that are not as the standard wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pacs.orthanc import free_port
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import HTJ2KLossless, RLELossless
from pynetdicom import AE, evt

from medplug import Case
from medplug.nodes import dimse
from medplug.sources import read

CT = get_testdata_file("CT_small.dcm")
STUDY = str(dcmread(CT).StudyInstanceUID)


@pytest.fixture
def archive() -> Iterator[Callable[..., str]]:
    """Start an archive that keeps CT_small.dcm and answers queries without `hidden`; by C-GET only if it `gives`."""
    servers = []

    def start(*, hidden: str = "", gives: bool = True) -> str:
        def find(event):
            kept, match = dcmread(CT), Dataset()
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
                if keyword in event.identifier and keyword != hidden:
                    setattr(match, keyword, kept[keyword].value)
            match.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
            yield 0xFF00, match

        def get(event):
            yield 1
            yield 0xFF00, dcmread(CT)

        entity, port = AE("ARCHIVE"), free_port()
        entity.add_supported_context(dimse.STUDY_ROOT_FIND)
        if gives:
            entity.add_supported_context(dimse.STUDY_ROOT_GET)
        entity.add_supported_context(dcmread(CT).SOPClassUID, scu_role=True, scp_role=True)
        handlers = [(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get)]
        servers.append(entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers))
        return f"dimse://ARCHIVE@127.0.0.1:{port}/{STUDY}"

    yield start
    for server in servers:
        server.shutdown()


def test_an_archive_that_does_not_say_of_what_class_instances_are_gives_them_all_the_same(archive):
    [found] = read(archive(hidden="SOPClassUID"))

    assert isinstance(found, Case), found.outcome


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"gives": False}, "does not give studies by C-GET"),
        ({"hidden": "StudyInstanceUID"}, "answers a query for STUDY with what has no StudyInstanceUID"),
        ({"hidden": "SOPInstanceUID"}, "answers a query for IMAGE with what has no SOPInstanceUID"),
    ],
)
def test_what_an_archive_cannot_do_is_said(archive, how, reason):
    url = archive(**how)

    [found] = read(url)

    assert found.outcome.reason == f"{url.rpartition('/')[0]}: {reason}"


def test_every_class_is_retrieved_in_every_transfer_syntax_of_images():
    classes = [f"1.2.{number}" for number in range(9)]

    retrievals = list(dimse.retrievals(classes))

    assert all(len(contexts) <= 128 for contexts in retrievals)
    proposed = [(syntax, transfer) for contexts in retrievals for syntax, wanted in contexts for transfer in wanted]
    for syntax in (RLELossless, HTJ2KLossless, "1.2.840.10008.1.2"):
        assert [one for one, transfer in proposed if transfer == syntax and one in classes] == classes
