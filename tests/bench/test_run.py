"""A run: who is timed, what is compared with what, and what is written."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from medplug import CallError
from medplug.bench import main, ours
from medplug.bench.chart import svg
from medplug.bench.checking import Checker
from medplug.bench.contestant import Contestant, image_by_image
from medplug.bench.items import build
from medplug.bench.report import Report, from_json
from medplug.bench.tables import COLUMNS, markdown
from medplug.bench.timing import Times, interleaved, repeats_for


@pytest.fixture
def work():
    return build("radiograph-512", 8)


def rows(work, *contestants, rounds=2):
    measured = main.measure(work, Checker(work), contestants, 1, rounds, 1e-6)
    return {row.how: row for row in measured}


def test_a_wrong_contestant_is_marked_wrong_and_has_no_time_and_no_ratio(work) -> None:
    right = ours.contestant(work, 1)
    wrong = Contestant("other", "wrong", lambda: right.run() + 1)

    found = rows(work, right, Contestant("other", "right", right.run), wrong)["wrong"]

    assert (found.answer, found.rounds) == ("wrong", 0)
    assert (found.seconds, found.ratio, found.ratio_exact, found.roofline) == (None, None, None, None)


def test_a_wrong_contestant_is_no_yardstick_however_fast(work) -> None:
    right = ours.contestant(work, 1)
    zeros = np.zeros(work.answer_shape, np.float32)

    found = rows(work, right, Contestant("other", "right", right.run), Contestant("other", "fast", lambda: zeros))

    assert found["right"].ratio == 1
    assert found["one pass"].ratio == pytest.approx(found["right"].seconds / found["one pass"].seconds)


def test_an_answer_that_goes_wrong_under_way_counts_for_nothing(work) -> None:
    right = ours.contestant(work, 1).run()
    calls = []

    def fails_later():
        calls.append(1)
        return right if len(calls) == 1 else right + 1

    assert rows(work, Contestant("other", "later", fails_later))["later"].answer == "wrong"


def test_a_contestant_that_raises_costs_only_itself(work) -> None:
    def broken():
        raise MemoryError("none left")

    found = rows(work, ours.contestant(work, 1), Contestant("other", "broken", broken))

    assert (found["broken"].answer, found["broken"].problem) == ("failed", "MemoryError: none left")
    assert found["one pass"].answer == "exact"


def test_only_an_exact_answer_is_the_yardstick_of_exact_ones(work) -> None:
    right = ours.contestant(work, 1)
    nearly = right.run() + np.float32(0.01)

    found = rows(work, right, Contestant("a", "close", lambda: nearly), Contestant("b", "exact", right.run))

    assert found["close"].answer == "close"
    assert (found["close"].ratio, found["exact"].ratio_exact) == (1, 1)
    assert found["close"].ratio_exact > 1


def test_rounds_are_interleaved_and_begin_with_another_one_each() -> None:
    order: list[int] = []
    slow = 0.006

    def turn(n: int):
        def run():
            order.append(n)
            end = time.perf_counter() + slow
            while time.perf_counter() < end:
                pass

        return run

    import time

    times = interleaved([turn(0), turn(1), turn(2)], rounds=2)

    assert order == [0, 1, 2, 0, 1, 2, 1, 2, 0]
    assert [len(one.wall) for one in times] == [2, 2, 2]
    assert min(times[0].wall) >= slow


def test_short_calls_are_repeated_until_a_turn_can_be_timed() -> None:
    assert [repeats_for(seconds) for seconds in (1.0, 0.004, 0.0001, 0.0)] == [1, 2, 50, 5000]


def test_one_thread_is_compared_by_the_median_of_cpu_time_and_more_by_the_best_on_the_clock() -> None:
    times = Times(wall=[5.0, 3.0, 4.0], cpu=[1.0, 9.0, 2.0])

    assert (times.seconds(1), times.seconds(2)) == (2.0, 3.0)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_image_of_a_batch_has_its_turn(threads: int) -> None:
    def one(n, out):
        out[:] = n

    made = image_by_image(one, (50, 2), threads)()

    assert made[:, 1].tolist() == list(range(50))


def test_the_json_holds_everything(report: Report) -> None:
    plain = json.loads(report.to_json())

    assert [item["name"] for item in plain["items"]] == ["radiograph-512", "ct", "mask"]
    assert (plain["rounds"], plain["small"], plain["version"]) == (2, True, 1)
    assert plain["machine"]["cpu"]
    assert set(plain["machine"]["copy_bytes_per_second"]) == {"1", "2"}
    assert {"medplug", "python", "numpy", "torch", "pillow"} <= set(plain["machine"]["versions"])
    assert from_json(report.to_json()) == report


def test_medplug_and_its_peers_are_in_every_table(report: Report) -> None:
    for item, libraries in (("radiograph-512", {"torch", "Pillow"}), ("ct", {"torch"}), ("mask", {"torch", "Pillow"})):
        for threads in (1, 2):
            found = report.of(item, threads)
            assert {row.library for row in found} == {"medplug", *libraries}
            timed = [row.seconds for row in found if row.seconds is not None]
            assert timed == sorted(timed)
            assert max(row.ratio for row in found if row.ratio and row.library != "medplug") == 1


def test_the_bytes_moved_are_the_pixels_under_the_answer_and_the_answer() -> None:
    assert build("radiograph-512", 8).bytes_moved == 312 * 256 * 2 + 64 * 64 * 4
    assert build("radiograph-turned", 8).bytes_moved == pytest.approx(224 * 224 * 2 + 64 * 64 * 4, abs=1)


def test_the_chart_is_well_formed_and_has_a_bar_for_every_time(report: Report) -> None:
    drawn = ET.fromstring(svg(report))
    space = "{http://www.w3.org/2000/svg}"
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    bars = [one for one in drawn.iter(f"{space}rect") if one.attrib["class"] != "paper"]

    assert len(bars) == sum(row.seconds is not None for row in report.rows)
    for bar in bars:
        assert 0 < float(bar.attrib["width"]) < width - float(bar.attrib["x"])
        assert float(bar.attrib["y"]) < height
    assert sum(bar.attrib["class"] == "ours" for bar in bars) == 6


def test_the_longer_bar_is_the_longer_time(report: Report) -> None:
    drawn = ET.fromstring(svg(report))
    bars = [one for one in drawn.iter("{http://www.w3.org/2000/svg}rect") if one.attrib["class"] != "paper"]
    first = [row for row in report.of("radiograph-512", 1) if row.seconds is not None]

    lengths = [float(bar.attrib["width"]) for bar in bars[: len(first)]]

    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]


def test_the_markdown_has_a_row_for_each_row_of_the_report(report: Report) -> None:
    lines = [line for line in markdown(report).splitlines() if line.startswith("| ")]

    assert len(lines) == len(report.rows) + 3 * 2
    assert all(line.count(" |") == len(COLUMNS) for line in lines)


def test_a_run_of_nothing_is_refused() -> None:
    with pytest.raises(CallError, match="at least one item, thread and round"):
        main.run(["ct"], threads=[0])
    with pytest.raises(CallError, match="no work item named 'xray'"):
        main.run(["ct", "xray"])
