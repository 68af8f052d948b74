"""A study goes to a real Orthanc, which routes it to the listener; what comes back stands beside it, each once."""

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pacs.orthanc import PLUGINS, Orthanc, needs_orthanc, wait_until
from pacs.parts import Archive, Listener, choice, study

from medplug.nodes import Address, dicomweb, dimse
from medplug.pacs import send

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "orthanc"
OUTAGE_SECONDS = float(os.environ.get("MEDPLUG_TEST_OUTAGE_SECONDS", "5"))
KILLS = int(os.environ.get("MEDPLUG_TEST_KILLS", "4"))

SOURCE = "1.2.840.10008.5.1.4.1.1.2"
RESULTS = {
    "1.2.840.10008.5.1.4.1.1.88.34": "SR",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.30": "map",
    "1.2.840.10008.5.1.4.1.1.7": "capture",
}
ONCE_EACH = ["SEG", "SR", "capture", "map", "source"]
SETTLED: list[str] = []
"""Studies whose results were there once; they are looked at again at the end."""


@pytest.fixture(scope="module")
def pacs(site, tmp_path_factory) -> Iterator[tuple[Orthanc, Listener]]:
    """An Orthanc that routes by our example, and a listener that answers with everything there is."""
    needs_orthanc()
    if not (PLUGINS / "libOrthancPython.so").exists():
        pytest.skip("Orthanc's Python plugin is not installed: apt-get install orthanc-python")
    folder = tmp_path_factory.mktemp("pacs")
    listener = Listener(folder / "listener", site, "", "", quiet_seconds=1)
    orthanc = Orthanc(
        folder / "orthanc",
        settings={
            "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so"), str(PLUGINS / "libOrthancPython.so")],
            "PythonScript": str(EXAMPLES / "route.py"),
            "DicomModalities": {
                "medplug": ["LISTENER", "127.0.0.1", listener.port],
                "caller": {"AET": "MEDPLUG", "Host": "127.0.0.1", "Port": 1},
            },
            "medplug": {"RetrySeconds": 1},
        },
    )
    listener.send_to = orthanc.dimse_url
    listener.models = choice(site, bright=["dicom-sr", "dicom-seg", "dicom-capture"], loud=["dicom-map"])
    orthanc.start()
    listener.start()
    yield orthanc, listener
    code = listener.stop()
    again = {tuple(by_qido(orthanc, uid)) for uid in SETTLED}
    orthanc.stop()
    assert code == 0, listener.log
    assert again <= {tuple(ONCE_EACH)}


def by_find(orthanc: Orthanc, uid: str) -> list[str]:
    """What Orthanc has of a study, by C-FIND."""
    node, found = Address.parse(orthanc.dimse_url), []
    with dimse.association(node, [dimse.query_context()]) as made:
        for series in dimse.find(node, made, "SERIES", {"StudyInstanceUID": uid}):
            keys = {"StudyInstanceUID": uid, "SeriesInstanceUID": series.SeriesInstanceUID}
            found += [one.SOPClassUID for one in dimse.find(node, made, "IMAGE", keys, "SOPClassUID")]
    return sorted(RESULTS.get(one, "source") for one in found)


def by_qido(orthanc: Orthanc, uid: str) -> list[str]:
    """What Orthanc has of a study, by QIDO-RS."""
    made = dicomweb.client(Address.parse(orthanc.web_url))
    found = [one["00080016"]["Value"][0] for one in made.search_for_instances(uid)]
    return sorted(RESULTS.get(one, "source") for one in found)


def there_once(orthanc: Orthanc, uid: str, seconds: float = 40) -> None:
    """Wait for the results; then they are there once. That they stay so is seen at the end."""
    wait_until(lambda: set(by_qido(orthanc, uid)) == set(ONCE_EACH), seconds, "the results")
    assert by_find(orthanc, uid) == by_qido(orthanc, uid) == ONCE_EACH
    SETTLED.append(uid)


def put(orthanc: Orthanc, folder: Path) -> None:
    assert {one.refused for one in send(folder, orthanc.dimse_url)} == {None}


def test_results_stand_beside_their_study_once_also_after_a_second_run(pacs, tmp_path):
    orthanc, listener = pacs
    uid = study(tmp_path)
    put(orthanc, tmp_path)
    there_once(orthanc, uid)

    put(orthanc, tmp_path)  # again: nothing changes
    assert {one.refused for one in send(tmp_path, listener.url)} == {None}
    time.sleep(3)
    there_once(orthanc, uid)

    # And a second listener that knows nothing of the first but when objects were made: the same bytes, the same UIDs.
    before = orthanc.get("/statistics")["CountInstances"]
    listener.stop()
    for file in (listener.folder / "state").glob("queue.sqlite*"):
        file.unlink()
    listener.send_to = orthanc.web_url  # from here on by STOW-RS
    listener.start()
    assert {one.refused for one in send(tmp_path, listener.url)} == {None}
    wait_until(lambda: listener.log.count("a result was delivered") >= 8, 40, "delivery")
    there_once(orthanc, uid)
    assert orthanc.get("/statistics")["CountInstances"] == before


def test_an_archive_that_is_down_delays_and_loses_nothing(pacs, tmp_path):
    orthanc, listener = pacs
    uid = study(tmp_path)
    orthanc.stop()
    assert {one.refused for one in send(tmp_path, listener.url)} == {None}
    time.sleep(OUTAGE_SECONDS)

    orthanc.start()
    put(orthanc, tmp_path)

    there_once(orthanc, uid)


def test_a_series_that_arrives_or_waits_is_sent_although_orthanc_was_stopped(pacs, tmp_path):
    orthanc, listener = pacs
    uids = []
    listener.kill()
    storage = orthanc.folder / "storage"
    for name in ("waiting", "arriving"):
        before = set(orthanc.get("/series"))
        uids.append(study(tmp_path / name))
        put(orthanc, tmp_path / name)
        [series] = set(orthanc.get("/series")) - before
        noted = [
            storage / "medplug-waiting" / series,
            *([storage / "medplug-arriving" / series] * (name == "arriving")),
        ]
        wait_until(lambda noted=noted: any(file.exists() for file in noted), 20, f"a series that is {name}")

    orthanc.stop()
    orthanc.start()
    listener.start()

    for uid in uids:
        there_once(orthanc, uid)


@pytest.fixture
def routing(tmp_path) -> Iterator[tuple[Orthanc, Archive]]:
    """An Orthanc that routes by our example, and the node to which it does, which is away."""
    needs_orthanc()
    if not (PLUGINS / "libOrthancPython.so").exists():
        pytest.skip("Orthanc's Python plugin is not installed: apt-get install orthanc-python")
    archive = Archive()
    orthanc = Orthanc(
        tmp_path / "orthanc",
        settings={
            "Plugins": [str(PLUGINS / "libOrthancPython.so")],
            "PythonScript": str(EXAMPLES / "route.py"),
            "DicomModalities": {
                "medplug": ["ARCHIVE", "127.0.0.1", archive.port],
                "caller": {"AET": "MEDPLUG", "Host": "127.0.0.1", "Port": 1},
            },
            "StableAge": 2,
            "medplug": {"RetrySeconds": 1},
        },
    )
    orthanc.start()
    yield orthanc, archive
    orthanc.stop()
    archive.stop()


def test_more_series_wait_than_orthanc_keeps_jobs(routing, tmp_path):
    orthanc, archive = routing
    for number in range(14):  # Orthanc keeps 10 jobs that failed
        study(tmp_path / "studies" / str(number))
    put(orthanc, tmp_path / "studies")
    waiting = orthanc.folder / "storage" / "medplug-waiting"
    wait_until(lambda: len(list(waiting.iterdir())) == 14, 20, "their being complete")

    archive.start()

    wait_until(lambda: len(set(archive.got)) == 14, 30, "all series")
    wait_until(lambda: not list(waiting.iterdir()), 20, "their notes' end")


def test_what_a_series_gets_later_is_sent_although_orthanc_was_stopped(routing, tmp_path):
    orthanc, archive = routing
    archive.start()
    study(tmp_path / "study", slices=2)
    put(orthanc, tmp_path / "study" / "0000.dcm")
    wait_until(lambda: len(archive.got) == 1, 20, "the first")

    put(orthanc, tmp_path / "study" / "0001.dcm")
    orthanc.stop()
    orthanc.start()

    wait_until(lambda: len(set(archive.got)) == 2, 20, "the second")


@pytest.mark.timeout(240)
def test_kills_at_random_moments_lose_nothing_and_double_nothing(pacs, tmp_path):
    orthanc, listener = pacs
    generator = random.Random(5)
    studies = {}
    for number in range((KILLS + 1) // 2):
        studies[tmp_path / f"{number}"] = study(tmp_path / f"{number}")
    waiting = list(studies)
    for number in range(KILLS):
        if number % 2 == 0:  # while models are loaded, and studies come
            put(orthanc, waiting.pop())
            time.sleep(generator.uniform(0, 3))
        else:  # while studies are answered, and results go
            loaded = listener.log.count("models are loaded")
            wait_until(lambda loaded=loaded: listener.log.count("models are loaded") > loaded, 30, "its models")
            time.sleep(generator.uniform(0, 2))
        listener.kill()
        listener.start()

    for uid in studies.values():
        there_once(orthanc, uid, 60)


def test_orthanc_answers_by_itself_with_medplug_inside(site, tmp_path):
    needs_orthanc()
    if not (PLUGINS / "libOrthancPython.so").exists():
        pytest.skip("Orthanc's Python plugin is not installed: apt-get install orthanc-python")
    paths = [path for path in sys.path if path.endswith("site-packages")]
    (tmp_path / "sitecustomize.py").write_text(  # an editable installation is found through .pth files
        "import site\n" + "".join(f"site.addsitedir({path!r})\n" for path in paths)
    )
    orthanc = Orthanc(
        tmp_path / "orthanc",
        settings={
            "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so"), str(PLUGINS / "libOrthancPython.so")],
            "PythonScript": str(EXAMPLES / "answer.py"),
            "medplug": {"Model": str(site.parent / "bright"), "Write": ["dicom-sr", "dicom-seg", "dicom-capture"]},
        },
        environment={
            "PYTHONPATH": f"{tmp_path}:{site}",
            "MEDPLUG_STATE": str(tmp_path / "state"),
            "OMP_NUM_THREADS": "1",
        },
    )
    orthanc.start()
    try:
        uid = study(tmp_path / "study")
        put(orthanc, tmp_path / "study")
        wanted = ["SEG", "SR", "capture", "source"]
        wait_until(lambda: by_qido(orthanc, uid) == wanted, 60, "the results")
        time.sleep(2)  # the study is complete again, with results that are not to be answered
        assert by_qido(orthanc, uid) == wanted
    finally:
        orthanc.stop()
