"""The trapezoid: until it falls, nothing depends on how many steps are planned."""

import pytest

from medplug.training.schedule import Schedule


def test_it_rises_stays_and_falls_to_almost_nothing():
    schedule = Schedule("trapezoid", warmup=4, decay=0.25)

    rates = [schedule.rate(step, 40) for step in range(40)]

    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[:30] == [min(1.0, (step + 1) / 4) for step in range(30)]
    assert rates[30:] == pytest.approx([(10 - step) / 11 for step in range(10)])


@pytest.mark.parametrize("decay", [0.0, 0.25, 0.3, 0.9])
def test_before_the_fall_of_the_shorter_plan_two_plans_agree(decay):
    schedule = Schedule("trapezoid", warmup=7, decay=decay)

    for short, long in ((1, 2), (30, 60), (59, 60), (100, 1000)):
        start = schedule.falls_from(short)
        assert start <= schedule.falls_from(long)
        assert all(schedule.rate(step, short) == schedule.rate(step, long) for step in range(start))


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("done", [0, 1, 7, 200])
def test_the_least_plan_lets_what_is_done_stand(decay, done):
    schedule = Schedule("trapezoid", warmup=0, decay=decay)

    least = schedule.least_steps(done)

    assert schedule.falls_from(least) >= done
    assert least <= 1 or schedule.falls_from(least - 1) < done


def test_a_constant_schedule_only_rises():
    schedule = Schedule("constant", warmup=2, decay=0.5)

    assert [schedule.rate(step, 5) for step in range(5)] == [0.5, 1, 1, 1, 1]
    assert schedule.falls_from(5) == 5
