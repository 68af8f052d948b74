"""Many files are looked at together, in order, and never behind the consumer's back."""

import threading
import time

import pytest

from medplug import sources
from medplug.case import Unit
from medplug.sources import ahead, dicom_instance
from medplug.sources.ahead import made_ahead


@pytest.mark.parametrize("count", [0, 1, 16, 17, 500])
def test_each_comes_with_what_was_made_of_it_in_order(count):
    ones = list(range(count))

    assert list(made_ahead(ones, lambda one: one * one)) == [(one, one * one) for one in ones]


def test_waiting_is_done_together():
    begin = time.perf_counter()

    list(made_ahead(range(128), lambda one: time.sleep(0.01)))

    assert time.perf_counter() - begin < 0.01 * 128 / 2


def test_nothing_is_made_while_the_consumer_works():
    busy = []

    def make(one):
        busy.append(one)
        time.sleep(0.003)
        busy.remove(one)

    for _ in made_ahead(range(300), make):
        assert not busy


def test_threads_end_with_the_consumer():
    made = made_ahead(range(300), lambda one: time.sleep(0.003))
    for _ in range(20):
        next(made)
    assert any(thread.name.startswith("medplug-index") for thread in threading.enumerate())

    made.close()

    assert not any(thread.name.startswith("medplug-index") for thread in threading.enumerate())


def test_files_that_are_there_at_once_take_no_threads():
    for _ in made_ahead(range(300), lambda one: None):
        assert not any(thread.name.startswith("medplug-index") for thread in threading.enumerate())


@pytest.mark.parametrize("unit", [Unit.INSTANCE, Unit.SERIES])
def test_a_folder_of_many_files_is_read_as_file_by_file_and_says_how_far_it_is(write_series, monkeypatch, unit):
    folder = write_series([(0, 0, float(z)) for z in range(150)])
    (folder / "020.dcm").write_bytes((folder / "021.dcm").read_bytes()[:300])
    (folder / "notes.txt").write_text("no image")
    (folder / "link").symlink_to(folder)
    told = []
    monkeypatch.setattr(ahead, "_WAITED", -1.0)  # as on a disk that keeps one waiting

    together = list(sources.read(folder, unit, on_read=lambda done, found: told.append((done, found))))
    monkeypatch.setattr(ahead, "_TOGETHER", 10**6)
    one_by_one = list(sources.read(folder, unit))

    def outcome(found):
        return getattr(found, "outcome", None) and found.outcome.reason

    assert [found.reference for found in together] == [found.reference for found in one_by_one]
    assert [outcome(found) for found in together] == [outcome(found) for found in one_by_one]
    assert told == [(done + 1, 152) for done in range(152)]


def test_files_on_a_slow_disk_are_waited_for_together(write_series, monkeypatch):
    folder = write_series([(0, 0, float(z)) for z in range(200)])
    read_header = dicom_instance.read_header

    def slow(path):
        time.sleep(0.01)
        return read_header(path)

    monkeypatch.setattr(dicom_instance, "read_header", slow)
    begin = time.perf_counter()

    [case] = sources.read(folder, Unit.SERIES)

    assert time.perf_counter() - begin < 0.01 * 200 / 2
    assert case.image.shape == (200, 4, 5)


def test_files_that_are_named_are_read_together_too(write_series, monkeypatch):
    folder = write_series([(0, 0, float(z)) for z in range(40)])
    paths = [*sorted(folder.iterdir()), folder / "absent.dcm", folder]
    told = []

    together = list(sources.read(paths, on_read=lambda done, found: told.append((done, found))))
    monkeypatch.setattr(ahead, "_TOGETHER", 10**6)
    one_by_one = list(sources.read(iter(paths)))

    assert [found.reference for found in together] == [found.reference for found in one_by_one]
    assert len(together) == 41
    assert told[40] == (41, 41)
    assert told[-1] == (81, 81)
