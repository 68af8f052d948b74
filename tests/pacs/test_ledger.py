"""The queue's facts, and what follows from them."""

import contextlib
import time

import pytest

from medplug.pacs.ledger import CUT_OFF, Ledger, Work
from medplug.pacs.spool import Spool

MODEL, ATTEMPTS = "models/xray", 3


@pytest.fixture
def ledger(tmp_path):
    with contextlib.closing(Ledger(tmp_path / "queue.sqlite")) as made:
        yield made


def due(ledger: Ledger, quiet: float = 0) -> Work | None:
    return ledger.due(MODEL, quiet, ATTEMPTS)


def state(ledger: Ledger, quiet: float = 0) -> str:
    [line] = ledger.lines((MODEL,), quiet, ATTEMPTS)
    return line.state


def test_a_study_is_due_when_it_is_quiet_and_until_its_revision_is_answered(ledger):
    ledger.received("1.1", "1.1.1", "aa")
    ledger.received("1.1", "1.1.2", "bb")

    assert due(ledger, quiet=60) is None
    assert state(ledger, quiet=60) == "collecting"
    assert state(ledger) == "waiting"
    work = due(ledger)
    assert work == Work("1.1", revision=2, begun=0, failed=0)
    ledger.begin(work, MODEL, time.time())
    assert ledger.answered(work, MODEL, {"9.1": "cc"})

    assert due(ledger) is None
    assert state(ledger) == "sending"
    ledger.delivered("9.1", "cc")
    assert state(ledger) == "done"
    assert ledger.finished((MODEL,), keep=60) == []
    assert ledger.finished((MODEL,), keep=0) == ["1.1"]
    assert ledger.finished((MODEL, "models/other"), keep=0) == []  # which has not answered it


def test_an_answer_to_what_a_study_was_is_dropped(ledger):
    ledger.received("1.1", "1.1.1", "aa")
    work = due(ledger)
    ledger.begin(work, MODEL, time.time())
    ledger.received("1.1", "1.1.2", "bb")

    assert not ledger.answered(work, MODEL, {"9.1": "cc"})
    assert not ledger.failed(work, MODEL, time.time() + 60, "ValueError: no", {"9.1": "cc"})
    assert ledger.outbox(10) == []
    assert due(ledger) == Work("1.1", revision=2, begun=0, failed=0)


def test_what_still_waits_of_an_answer_goes_when_the_next_one_is_there(ledger):
    ledger.received("1.1", "1.1.1", "aa")
    for model in (MODEL, "models/other"):
        work = ledger.due(model, 0, ATTEMPTS)
        ledger.begin(work, model, time.time())
        ledger.answered(work, model, {f"9.{len(model)}": "cc", f"8.{len(model)}": "dd"})
    ledger.received("1.1", "1.1.2", "bb")
    work = due(ledger)
    ledger.begin(work, MODEL, time.time())

    ledger.answered(work, MODEL, {"7.1": "ee", f"8.{len(MODEL)}": "dd"})

    assert {one.uid for one in ledger.outbox(10)} == {"7.1", "8.11", "8.12", "9.12"}


def test_the_same_answer_is_not_sent_again_and_another_one_is(ledger):
    ledger.received("1.1", "1.1.1", "aa")
    for revision, (results, waiting) in enumerate(
        [({"9.1": "cc"}, ["9.1"]), ({"9.1": "cc"}, []), ({"9.1": "cc", "9.2": "dd"}, ["9.2"])], start=1
    ):
        work = due(ledger)
        assert work.revision == revision
        ledger.begin(work, MODEL, time.time())
        assert ledger.answered(work, MODEL, results)

        assert [one.uid for one in ledger.outbox(10)] == waiting
        for uid in waiting:
            ledger.delivered(uid, results[uid])
        ledger.received("1.1", f"1.1.{revision + 1}", "bb")


def test_what_is_made_anew_while_it_is_sent_is_sent_again(ledger):
    ledger.received("1.1", "1.1.1", "aa")
    work = due(ledger)
    ledger.begin(work, MODEL, time.time())
    ledger.answered(work, MODEL, {"9.1": "cc"})
    ledger.answered(work, MODEL, {"9.1": "dd"})

    ledger.delivered("9.1", "cc")

    assert [one.sha256 for one in ledger.outbox(10)] == ["dd"]
    ledger.delivered("9.1", "dd")
    assert ledger.outbox(10) == []


def test_a_result_that_comes_back_is_known_even_when_its_study_is_forgotten(ledger):
    ledger.received("1.1", "1.1.1", "aa")
    work = due(ledger)
    ledger.begin(work, MODEL, time.time())
    ledger.answered(work, MODEL, {"9.1": "cc", "9.2": "dd", "9.3": "ee"})
    ledger.sending([one for one in ledger.outbox(10) if one.uid != "9.2"])
    ledger.delivered("9.1", "cc")

    ledger.drop("1.1")
    assert ledger.forget("1.1", (MODEL,), keep=0)

    assert ledger.has("1.1", "9.1", "as another PACS has written it")
    assert ledger.has("1.1", "9.3", "ee")  # nobody knows whether it arrived
    assert not ledger.has("1.1", "9.2", "dd")  # it was never sent
    assert not ledger.has("1.1", "1.1.1", "aa")


def test_an_instance_that_repeats_anothers_uid_in_another_study_takes_nothing_from_it(tmp_path):
    spool = Spool(tmp_path)

    assert spool.take("1.1", "1.1.1", (b"one",), reserve=0)
    assert spool.take("1.2", "1.1.1", (b"another",), reserve=0)
    assert spool.take("1.3", "1.1.1", (b"one",), reserve=0)

    spool.recover()
    assert [len(spool.ledger.instances(study)) for study in ("1.1", "1.2", "1.3")] == [1, 1, 1]
    assert sorted(file.read_bytes() for file in (tmp_path / "studies").glob("*/*")) == [b"another", b"one", b"one"]
    spool.ledger.close()


@pytest.mark.parametrize("dropped", [False, True])
def test_what_is_acknowledged_while_its_study_is_forgotten_stays(tmp_path, dropped):
    spool = Spool(tmp_path)
    spool.take("1.1", "1.1.1", (b"one",), reserve=0)
    work = due(spool.ledger)
    spool.ledger.begin(work, MODEL, time.time())
    spool.ledger.answered(work, MODEL, {"9.1": "cc"} if dropped else {})
    if dropped:
        spool.ledger.drop("1.1")
    assert spool.ledger.outbox(10) == []
    [study] = spool.ledger.finished((MODEL,), keep=0)

    assert spool.take("1.1", "1.1.2", (b"two",), reserve=0)

    assert not spool.forget(study, (MODEL,), keep=0)
    assert len(spool.ledger.instances("1.1")) == len(list((tmp_path / "studies").glob("*/*"))) == 2
    assert due(spool.ledger).revision == 2
    spool.ledger.close()


def test_a_study_whose_runs_never_end_gives_way_and_is_set_aside_at_last(ledger):
    ledger.received("1.1", "1.1.1", "aa")
    time.sleep(0.01)
    ledger.received("1.2", "1.2.1", "bb")
    ledger.begin(due(ledger), MODEL, time.time())  # and the process dies

    assert due(ledger).study == "1.2"
    for _ in range(CUT_OFF - 1):
        ledger.begin(Work("1.1", 1, 0, 0), MODEL, time.time())
    ledger.drop("1.2")
    assert due(ledger) is None
    line = ledger.lines((MODEL,), 0, ATTEMPTS)[0]
    assert (line.state, line.reason) == ("failed", "the process died in each of its runs")
    ledger.retry("1.1")
    assert due(ledger).study == "1.1"


def test_a_run_that_fails_waits_and_is_set_aside_until_something_new_comes(ledger):
    ledger.received("1.1", "1.1.1", "aa")
    for _ in range(ATTEMPTS):
        work = due(ledger)
        ledger.begin(work, MODEL, time.time())
        ledger.failed(work, MODEL, time.time(), "ValueError: no", {})
    assert due(ledger) is None
    assert state(ledger) == "failed"

    ledger.received("1.1", "1.1.2", "bb")
    work = due(ledger)
    ledger.begin(work, MODEL, time.time())
    ledger.failed(work, MODEL, time.time() + 60, "ValueError: no", {"9.1": "cc"})

    assert due(ledger) is None  # not before its time
    assert [one.uid for one in ledger.outbox(10)] == ["9.1"]  # what could be answered goes out


def test_a_start_removes_what_a_kill_has_left_and_nothing_else(tmp_path):
    spool = Spool(tmp_path)
    assert spool.take("1.1", "1.1.1", (b"one",), reserve=0)
    assert not spool.take("1.1", "1.1.1", (b"one",), reserve=0)
    [kept] = list((tmp_path / "studies").glob("*/*"))
    (kept.parent / "renamed-and-not-committed").write_bytes(b"two")
    (tmp_path / "work" / "half.part").write_bytes(b"t")
    (tmp_path / "work" / "run").mkdir()
    (tmp_path / "results" / "x").mkdir()
    (tmp_path / "results" / "x" / "y").write_bytes(b"z")

    spool.recover()

    assert [path for part in ("studies", "work", "results") for path in (tmp_path / part).rglob("*")] == [
        kept.parent,
        kept,
    ]
    spool.ledger.close()


def test_a_commit_that_fails_acknowledges_nothing(tmp_path, monkeypatch):
    spool = Spool(tmp_path)
    monkeypatch.setattr(spool.ledger, "received", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        spool.take("1.1", "1.1.1", (b"one",), reserve=0)

    spool.recover()
    assert list((tmp_path / "studies").glob("*/*")) == []
    spool.ledger.close()
