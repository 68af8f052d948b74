"""The listener as a process: what it acknowledges survives a kill, and what it answers reaches the archive once."""

import contextlib
import os
import resource
import socket
import sqlite3
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pacs.orthanc import wait_until
from pacs.parts import Archive, Listener, choice, study
from pydicom import dcmread

from medplug import NodeError
from medplug.nodes import Address, dimse
from medplug.pacs import send
from medplug.pacs.config import read_config
from medplug.pacs.listen import queue


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def shared(site, tmp_path_factory) -> Iterator[Listener]:
    """A listener that runs, and that its callers annoy."""
    made = Listener(
        tmp_path_factory.mktemp("shared"), site, "dimse://ARCHIVE@127.0.0.1:1", choice(site, bright=["dicom-seg"])
    )
    made.more = "[limits]\nsilent_seconds = 3\nassociations = 4\ninstance_mib = 8"
    made.start()
    yield made
    assert made.stop() == 0, made.log


@pytest.fixture
def listener(site, archive, tmp_path) -> Iterator[Listener]:
    """A listener that has not been started."""
    made = Listener(tmp_path / "listener", site, archive.url, choice(site, bright=["dicom-seg"]))
    yield made
    if made.stop() not in (0, -1):
        raise AssertionError(made.log)


def refusals(path: Path, url: str) -> list[str | None]:
    return [one.refused for one in send(path, url)]


def states(listener: Listener) -> dict[str, str]:
    """The state of each study of the queue."""
    return {line.study: line.state for line in queue(read_config(listener.config))}


def test_a_study_is_answered_when_it_is_quiet_and_again_when_it_grows(listener, archive, tmp_path):
    uid = study(tmp_path / "a", slices=2)
    listener.start()

    assert refusals(tmp_path / "a", listener.url) == [None, None]
    wait_until(lambda: len(archive.got) == 2, what="delivery")
    assert refusals(tmp_path / "a", listener.url) == [None, None]  # nothing new: nothing is done
    study(tmp_path / "b", slices=1, uid=uid)
    assert refusals(tmp_path / "b", listener.url) == [None]
    wait_until(lambda: len(archive.got) == 3, what="delivery of what is new")
    time.sleep(1)

    assert len(archive.got) == len(set(archive.got)) == 3
    assert states(listener) == {uid: "done"}
    assert listener.log.count("bright took") == 2
    dataset = dcmread(tmp_path / "a" / "0000.dcm")
    for secret in (uid, str(dataset.PatientID), str(dataset.PatientName), str(dataset.SOPInstanceUID)):
        assert secret not in listener.log
    assert listener.stop() == 0


def test_nobody_else_may_read_what_is_kept_also_in_a_folder_that_was_there(listener, archive, tmp_path):
    state = listener.folder / "state"
    state.mkdir(parents=True, mode=0o755)
    study(tmp_path / "a")
    listener.start()
    assert refusals(tmp_path / "a", listener.url) == [None]
    wait_until(lambda: len(archive.got) == 1, what="delivery")

    kept = [path for path in state.rglob("*") if path.exists()]
    assert {"queue.sqlite", "queue.sqlite-wal", "objects.sqlite"} <= {path.name for path in kept}
    assert [path for path in kept if path.stat().st_mode & 0o077] == []


def test_an_instance_that_was_acknowledged_survives_a_kill_at_once(listener, archive, tmp_path):
    archive.stop()
    uid = study(tmp_path / "a", slices=3)
    listener.quiet_seconds = 3
    listener.start()

    for one in send(tmp_path / "a", listener.url):
        assert one.refused is None
        acknowledged = dcmread(one.path).SOPInstanceUID
        listener.kill()
        break

    assert kept(listener) == {acknowledged}
    listener.start()
    archive.start()
    wait_until(lambda: states(listener) == {uid: "done"}, 40, "the answer")
    assert len(archive.got) == 1


def kept(listener: Listener) -> set[str]:
    """The instances that lie in the spool and in the queue, whole."""
    state = listener.folder / "state"
    with contextlib.closing(sqlite3.connect(state / "queue.sqlite")) as tables:
        rows = tables.execute("SELECT uid, sha256 FROM instance").fetchall()
    files = {file.name: file for file in (state / "studies").rglob("*") if file.is_file()}
    return {uid for uid, sha256 in rows if dcmread(files[sha256]).SOPInstanceUID == uid}


def test_a_dead_archive_delays_and_loses_nothing(listener, archive, tmp_path):
    archive.stop()
    uid = study(tmp_path / "a", slices=2)
    listener.start()
    assert refusals(tmp_path / "a", listener.url) == [None, None]
    wait_until(lambda: states(listener) == {uid: "sending"}, 20, "the answer")
    time.sleep(2)

    archive.start()

    wait_until(lambda: len(archive.got) == 2, 20, "delivery")
    wait_until(lambda: states(listener) == {uid: "done"}, 20, "its note")
    assert listener.log.count("cannot be reached") == 1
    assert "is back" in listener.log


def test_a_result_that_the_archive_refuses_is_sent_again(listener, archive, tmp_path):
    archive.status = 0xA700
    uid = study(tmp_path / "a")
    listener.start()
    assert refusals(tmp_path / "a", listener.url) == [None]
    wait_until(lambda: len(archive.got) >= 2, 30, "a second try")
    assert "0xA700 Refused: Out of Resources" in listener.command("--status").stdout

    archive.status = 0x0000

    wait_until(lambda: states(listener) == {uid: "done"}, 20, "delivery")
    assert len(set(archive.got)) == 1


def test_a_study_on_which_the_model_fails_is_set_aside_until_it_is_retried(listener, archive, tmp_path):
    poison = listener.folder / "state" / "poison"
    poison.parent.mkdir(parents=True)
    poison.touch()
    listener.more = "attempts = 2"
    uid = study(tmp_path / "a")
    listener.start()
    assert refusals(tmp_path / "a", listener.url) == [None]
    wait_until(lambda: states(listener) == {uid: "failed"}, 30, "its being set aside")

    shown = listener.command("--status").stdout
    assert "the plugin bright failed on this image: ValueError: poisoned" in shown
    assert "bright took" not in listener.log
    assert listener.log.count("bright failed, it is") == 2
    poison.unlink()
    assert listener.command("--retry", "1.2.3").returncode == 2
    assert listener.command("--retry", uid).stdout == "1 studies are tried again\n"
    wait_until(lambda: len(archive.got) == 1, 20, "the answer")


def test_answers_of_a_queue_that_is_not_here_are_acknowledged_and_left(listener, archive, tmp_path):
    images = [study(tmp_path / name) for name in ("capture", "medplugs-ct", "anothers-capture")]
    for name, sop_class, maker in (
        ("capture", "1.2.840.10008.5.1.4.1.1.7", "medplug"),
        ("medplugs-ct", "1.2.840.10008.5.1.4.1.1.2", "medplug"),
        ("anothers-capture", "1.2.840.10008.5.1.4.1.1.7", "Else"),
    ):
        dataset = dcmread(tmp_path / name / "0000.dcm")
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
        dataset.Manufacturer = maker
        dataset.save_as(tmp_path / name / "0000.dcm")
    listener.quiet_seconds = 60
    listener.start()

    assert [refusals(tmp_path / name, listener.url) for name in ("capture", "medplugs-ct", "anothers-capture")] == [
        [None],
        [None],
        [None],
    ]

    assert set(states(listener)) == set(images[1:])


def test_a_study_of_which_nothing_is_answered_is_done_and_says_why(listener, tmp_path):
    listener.models += '[models.select]\nmodality = ["CR"]\n'
    uid = study(tmp_path / "a")
    listener.start()
    assert refusals(tmp_path / "a", listener.url) == [None]

    wait_until(lambda: states(listener) == {uid: "done"}, 20, "its being looked at")

    shown = listener.command("--status").stdout
    assert "nothing was answered: " in shown
    assert "CT" in shown.partition("nothing was answered: ")[2]


def test_what_is_the_machines_fault_sets_no_study_aside(listener, archive, tmp_path):
    record = listener.folder / "state" / "objects.sqlite"
    record.mkdir(parents=True)  # a database that cannot be opened
    listener.more = "attempts = 2"
    uid = study(tmp_path / "a")
    listener.start()
    assert refusals(tmp_path / "a", listener.url) == [None]

    wait_until(lambda: listener.log.count("bright cannot run, it is tried again: OperationalError") >= 3, 30, "runs")
    assert states(listener) == {uid: "waiting"}
    assert "OperationalError" in listener.command("--status").stdout
    assert "bright took" not in listener.log
    record.rmdir()

    wait_until(lambda: states(listener) == {uid: "done"}, 20, "the answer")
    assert len(archive.got) == 1


def test_what_is_delivered_is_forgotten_after_its_time_and_what_is_dropped_at_once(listener, archive, tmp_path):
    listener.models = "keep_hours = 0\n" + listener.models
    kept_back = study(tmp_path / "b")
    study(tmp_path / "a")
    listener.start()
    assert refusals(tmp_path / "a", listener.url) == [None]
    wait_until(lambda: len(archive.got) == 1, 20, "delivery")
    wait_until(lambda: states(listener) == {}, 20, "its being forgotten")
    archive.stop()
    assert refusals(tmp_path / "b", listener.url) == [None]
    wait_until(lambda: states(listener) == {kept_back: "sending"}, 20, "the answer")

    assert listener.command("--drop", kept_back).returncode == 0

    wait_until(lambda: states(listener) == {}, 20, "its being forgotten")
    state = listener.folder / "state"
    parts = [state / part for part in ("studies", "results", "work")]
    wait_until(lambda: not any(file for part in parts for file in part.rglob("*")), 20, "its files' removal")


def test_a_full_disk_refuses_and_never_acknowledges(listener, tmp_path):
    study(tmp_path / "a")
    large = dcmread(tmp_path / "a" / "0000.dcm")
    large.Rows, large.Columns, large.PixelData = 512, 512, bytes(512 * 512 * 2)
    large.save_as(tmp_path / "a" / "0000.dcm")
    small = study(tmp_path / "b")
    listener.quiet_seconds = 60
    listener.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)))

    assert refusals(tmp_path / "a", listener.url) == ["0xA700 Refused: Out of Resources"]
    assert refusals(tmp_path / "b", listener.url) == [None]
    assert states(listener) == {small: "collecting"}
    assert list((listener.folder / "state" / "work").iterdir()) == []
    listener.stop()
    listener.more = "[limits]\nreserve_mib = 100_000_000"
    listener.start()
    study(tmp_path / "c")
    assert refusals(tmp_path / "c", listener.url) == ["0xA700 Refused: Out of Resources"]
    assert "the disk is as full as it may get" in listener.log


def test_only_who_is_listed_may_call_and_only_by_the_right_title(shared):
    dimse.echo(Address.parse(shared.url))
    with pytest.raises(NodeError, match="Calling AE title not recognised"):
        dimse.echo(Address.parse(f"{shared.url}?calling=STRANGER"))
    with pytest.raises(NodeError, match="Called AE title not recognised"):
        dimse.echo(Address.parse(shared.url.replace("LISTENER", "OTHER")))


def test_a_folder_has_one_listener(shared):
    ran = shared.command()

    assert ran.returncode == 2
    assert "another listener works in" in ran.stderr


def test_silence_and_half_sent_and_endless_pdus_do_not_stop_service(shared):
    with contextlib.ExitStack() as open_:

        def connected() -> socket.socket:
            return open_.enter_context(socket.create_connection(("127.0.0.1", shared.port), 5))

        silent = [connected() for _ in range(40)]
        half = [connected() for _ in range(12)]
        for one in half:
            one.sendall(struct.pack(">BBL", 1, 0, 200) + b"\0\1")
        endless = connected()
        endless.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFFF) + bytes(4000))

        begun = time.monotonic()
        dimse.echo(Address.parse(shared.url))
        assert time.monotonic() - begun < 2.5
        endless.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            while endless.recv(1000):
                continue
        silent[-1].settimeout(15)
        with contextlib.suppress(ConnectionResetError):
            while silent[-1].recv(1000):
                continue
    dimse.echo(Address.parse(shared.url))


def test_an_instance_that_is_larger_than_it_may_be_is_cut_off(shared, tmp_path):
    study(tmp_path)
    dataset = dcmread(tmp_path / "0000.dcm")
    dataset.Rows, dataset.Columns, dataset.PixelData = 2048, 2304, bytes(9 << 20)
    dataset.save_as(tmp_path / "0000.dcm")

    [refused] = refusals(tmp_path, shared.url)

    assert "broke off" in refused
    dimse.echo(Address.parse(shared.url))
    assert list((shared.folder / "state" / "work").iterdir()) == []


def test_a_connection_costs_little_before_it_says_who_calls(shared):
    def used() -> float:
        times = Path(f"/proc/{shared.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    wait_until(lambda: "models are loaded" in shared.log, 30, "the models, which cost more")
    before = used()
    for _ in range(50):
        socket.create_connection(("127.0.0.1", shared.port), 5).close()
    dimse.echo(Address.parse(shared.url))

    assert used() - before < 1.5


def test_a_caller_that_sends_a_byte_at_a_time_is_cut_off(shared):
    fragment = struct.pack(">BBLLBBB", 4, 0, 7, 3, 1, 1, 0)  # P-DATA-TF with one byte of a command, PS3.8 9.3.5
    with dimse.association(Address.parse(shared.url), [(dimse.VERIFICATION, ("1.2.840.10008.1.2",))]) as made:
        connection, begun = made.dul.socket.socket, time.monotonic()
        with contextlib.suppress(OSError):  # it is closed
            while time.monotonic() - begun < 12:
                connection.sendall(fragment)
                time.sleep(0.2)

        assert 3 <= time.monotonic() - begun < 10
    assert "a caller sent less than 8192 bytes a second; it was cut off" in shared.log


def test_tls_both_ways_lets_in_who_shows_a_certificate_and_nobody_else(listener, archive, certificates, tmp_path):
    listener.more = (
        f'[tls]\ncert = "{certificates}/me.pem"\nkey = "{certificates}/me.key"\nca = "{certificates}/ca.pem"\n'
    )
    study(tmp_path / "a")
    listener.start()
    address = listener.url.replace("dimse:", "dimses:")
    silent = [socket.create_connection(("127.0.0.1", listener.port), 5) for _ in range(12)]

    shown = f"ca={certificates}/ca.pem&cert={certificates}/me.pem&key={certificates}/me.key"
    assert refusals(tmp_path / "a", f"{address}?{shown}") == [None]
    wait_until(lambda: len(archive.got) == 1, 20, "the answer")
    for who in (
        address,  # does not trust our authority
        f"{address}?ca={certificates}/ca.pem",  # shows nothing
        f"{address}?ca={certificates}/ca.pem&cert={certificates}/stranger.pem&key={certificates}/stranger.key",
        listener.url,  # speaks no TLS
    ):
        begun = time.monotonic()
        with pytest.raises(NodeError):
            dimse.echo(Address.parse(who))
        assert time.monotonic() - begun < 5
    for one in silent:
        one.close()
    dimse.echo(Address.parse(f"{address}?{shown}"))


def test_uids_of_old_devices_are_taken_and_what_hides_its_study_behind_megabytes_is_not(shared, tmp_path):
    made = study(tmp_path / "old")
    uid = f"{made[:-3]}.07"
    old = tmp_path / "old" / "0000.dcm"
    old.write_bytes(old.read_bytes().replace(made.encode(), uid.encode()))
    study(tmp_path / "hidden")
    file = tmp_path / "hidden" / "0000.dcm"
    content = file.read_bytes()
    place = content.index(struct.pack("<HH", 0x0020, 0x000D))
    many = b"".join(struct.pack("<HH2sH", 0x0019, 0x1000 + n % 256, b"LO", 0) for n in range(1 << 19)) + b""
    file.write_bytes(content[:place] + many + content[place:])

    assert refusals(tmp_path / "old", shared.url) == [None]
    assert refusals(tmp_path / "hidden", shared.url) == ["0xC000 Cannot Understand"]

    assert uid in states(shared)
    assert shared.command("--drop", uid).returncode == 0
    wait_until(lambda: uid not in states(shared), 20, "its being forgotten")


def test_a_damaged_or_disguised_instance_is_refused(shared, tmp_path):
    study(tmp_path)
    file = tmp_path / "0000.dcm"
    content = file.read_bytes()
    dataset = dcmread(file)
    instance, owner = dataset.SOPInstanceUID.encode(), dataset.StudyInstanceUID.encode()
    place = content.rindex(instance)  # the dataset's own, behind that of the File Meta Information

    for changed, refusal in (
        (content[:place] + b"9" + content[place + 1 :], "0xA900 Data Set Does Not Match SOP Class"),
        (content.replace(owner, b"../../../etc".ljust(len(owner), b"/")), "0xC000 Cannot Understand"),
        (content[: place - 8] + b"\xff" * 40 + content[place:], "0xC000 Cannot Understand"),
    ):
        file.write_bytes(changed)
        assert refusals(file, shared.url) == [refusal]
    assert list((shared.folder / "state" / "studies").iterdir()) == []
