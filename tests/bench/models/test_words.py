"""How runs are told and drawn."""

import xml.etree.ElementTree as ET

from bench.models.parts import measured

from medplug.bench.models import chart, table
from medplug.bench.models.goals import Goal, judge
from medplug.bench.models.report import Baseline, SeedValue, Summary

AUC = Summary(
    figure="macro AUC",
    value=0.9,
    low=0.85,
    high=0.94,
    covers="patients and seeds",
    sd_seeds=0.02,
    seeds=(SeedValue(seed=0, value=0.88, low=0.8, high=0.95), SeedValue(seed=1, value=0.92, low=0.85, high=0.97)),
)
BORDER = Baseline(name="border", figures=(Summary(figure="macro AUC", value=0.82),))
ABOVE = Summary(figure="macro AUC above border", value=0.08, low=0.01, high=0.15)
RUN = measured(figures=(AUC,), baselines=(BORDER,), margins=(ABOVE,), commit="a" * 40 + "+")
GOAL = Goal(dataset="mine", plugin="sides", figure="macro AUC", value=0.95)


def test_a_table_sets_the_baselines_beside_the_figures():
    assert table.columns(RUN)[-1] == "border"
    assert table.figure_rows(RUN) == [("macro AUC", "0.900", "0.850 to 0.940", "0.020", "", "0.820")]
    assert table.margin_rows(RUN) == [("macro AUC", "+0.080 (+0.010 to +0.150) beaten")]
    assert table.goal_rows(judge(RUN, [GOAL]))[0][4] == "MISSED"
    assert any("aaaaaaaaaaaa+" in line for line in table.describe(RUN))


def test_a_baseline_that_is_only_equalled_is_not_beaten():
    equal = Summary(figure="macro AUC above border", value=0.0, low=0.0, high=0.0)

    [(_, said)] = table.margin_rows(measured(figures=(AUC,), baselines=(BORDER,), margins=(equal,)))

    assert said.endswith("NOT BEATEN")


def test_the_page_shows_every_run_and_the_newest_in_full():
    newest = measured(figures=(AUC,), recipe_sha256="e" * 64, date="2026-02-02T00:00:00+00:00", again=True)

    page = table.markdown([RUN, newest], [GOAL])

    assert "run 1 on these test rows" in page
    assert "run 2 on these test rows, the same recipe again" in page
    assert page.count("## learners:sides on mine") == 1
    assert "0.880 (0.800-0.950)" in page
    assert "eeeeeeeeeeee" in page
    assert table.markdown([]) == "No final run has been logged.\n"


def test_the_picture_holds_seeds_baselines_and_the_goal():
    drawn = ET.fromstring(chart.svg([RUN], [GOAL]))

    classes = [one.get("class") for one in drawn.iter()]
    assert classes.count("seed") == 2
    assert classes.count("mean") == 1
    assert classes.count("base") == 1
    assert classes.count("goal") == 1
    [base], [goal], [mean] = (
        [one for one in drawn.iter() if one.get("class") == kind] for kind in ("base", "goal", "mean")
    )
    assert float(base.get("x1")) < float(mean.get("cx")) < float(goal.get("x1"))  # 0.82, 0.90, 0.95


def test_variants_stand_side_by_side():
    other = measured(
        figures=(AUC,), variant="width=8", differences=(Summary(figure="macro AUC", value=0.01, low=-0.1, high=0.1),)
    )

    heads, rows = table.side_by_side([RUN, other])

    assert heads == ("figure", "as it is", "width=8")
    assert rows[0][2] == "0.900  (+0.0100: -0.1000 to +0.1000)"
    assert rows[-1] == ("CPU minutes", "2.0", "2.0")
