"""Results go out although the destination chokes on some of them, has others already, or is away."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pacs.orthanc import wait_until
from pacs.parts import Archive, study
from pydicom import dcmread

from medplug.pacs.config import ListenConfig, Retry
from medplug.pacs.delivering import Delivering
from medplug.pacs.spool import Spool


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def spool(tmp_path) -> Iterator[Spool]:
    made = Spool(tmp_path / "state")
    yield made
    made.ledger.close()


def with_results(spool: Spool, folder: Path, count: int) -> list[str]:
    """Have results of an answered study wait in a queue; their UIDs, in the order in which they are sent."""
    study(folder, slices=count)
    files = {str(dcmread(file).SOPInstanceUID): file for file in sorted(folder.iterdir())}
    spool.take("1.1", "1.1.1", (b"one",), reserve=0)
    work = spool.ledger.due("model", 0, 5)
    assert work is not None
    spool.ledger.begin(work, "model", 0)
    assert spool.ledger.answered(work, "model", spool.keep_results("1.1", files))
    return [one.uid for one in spool.ledger.outbox(100)]


@contextlib.contextmanager
def delivering(spool: Spool, to: str) -> Iterator[None]:
    config = ListenConfig(
        ae_title="LISTENER",
        port=1,
        calling="any",
        state=spool.folder,
        models=(),
        send_to=to,
        retry=Retry(first_seconds=0.2, longest_seconds=0.5),
    )
    made = Delivering(config, spool, threading.Event())
    made.start()
    try:
        yield
    finally:
        made.stop()


def waiting(spool: Spool) -> set[str]:
    return {uid for (uid,) in spool.ledger.rows("SELECT uid FROM result WHERE sent IS NULL")}


def errors(caplog) -> list[logging.LogRecord]:
    """What our own log says."""
    return [one for one in caplog.records if one.levelno >= logging.ERROR and one.name.startswith("medplug")]


@pytest.mark.parametrize("poisoned", [(0,), (0, 1), (0, 1, 2, 4)])
def test_results_on_which_the_archive_breaks_off_hold_up_no_other(spool, archive, tmp_path, poisoned):
    uids = with_results(spool, tmp_path / "results", 6)
    poison = archive.breaks_off = {uids[number] for number in poisoned}

    with delivering(spool, archive.url):
        wait_until(lambda: waiting(spool) == poison, 20, "the others")
        archive.breaks_off = set()
        wait_until(lambda: waiting(spool) == set(), 20, "what it broke off on")


def test_what_the_archive_has_already_is_delivered(spool, archive, tmp_path):
    with_results(spool, tmp_path / "results", 2)
    archive.status = 0x0111

    with delivering(spool, archive.url):
        wait_until(lambda: waiting(spool) == set(), 10, "delivery")

    assert len(archive.got) == 2


def test_a_result_whose_file_is_gone_is_made_anew_and_holds_up_no_other(spool, archive, tmp_path):
    uids = with_results(spool, tmp_path / "results", 2)
    gone = spool.ledger.outbox(1)[0]
    assert gone.uid == uids[0]
    spool.result(gone.study, gone.sha256).unlink()

    with delivering(spool, archive.url):
        wait_until(lambda: archive.got == uids[1:], 10, "the other")

    work = spool.ledger.due("model", 0, 5)
    assert work is not None
    assert work.study == "1.1"


def test_an_archive_that_is_away_is_not_asked_for_each_result(spool, archive, tmp_path, caplog):
    uids = with_results(spool, tmp_path / "results", 5)
    archive.stop()

    with delivering(spool, archive.url):
        time.sleep(2)
        tried = [tried for (tried,) in spool.ledger.rows("SELECT tried FROM result")]
        archive.start()
        wait_until(lambda: waiting(spool) == set(), 10, "delivery")

    assert sum(tried) <= 20  # two a round
    assert set(archive.got) == set(uids)
    [said] = errors(caplog)
    assert "cannot be reached" in said.message


def test_a_certificate_that_is_gone_delays_and_is_said_once(spool, archive, tmp_path, caplog):
    with_results(spool, tmp_path / "results", 3)

    with delivering(spool, archive.url.replace("dimse:", "dimses:") + f"?ca={tmp_path}/gone.pem"):
        time.sleep(2)

    [said] = errors(caplog)
    assert "gone.pem" in said.message
    assert said.exc_info is None
