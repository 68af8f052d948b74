"""Calibration of one case's probabilities."""

import pytest

from medplug.operating import tempered


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("temperature", [1e-4, 0.05])
def test_a_low_temperature_sharpens_without_overflow(exclusive, temperature):
    stated = {"a": 0.6, "b": 0.4 - 1e-40, "c": 1e-40}

    sharp = tempered(stated, temperature, exclusive)

    assert sharp["a"] > 0.99
    assert sharp["c"] == pytest.approx(0, abs=1e-200)
    assert sharp["b"] == pytest.approx(0, abs=1e-3)


def test_a_temperature_divides_the_logits_on_both_sides_of_a_half():
    cooled = tempered({"low": 0.1, "high": 0.9}, 2.0, exclusive=False)

    assert cooled == pytest.approx({"low": 0.25, "high": 0.75})
    assert tempered({"a": 0.9, "b": 0.1}, 2.0, exclusive=True) == pytest.approx({"a": 0.75, "b": 0.25})
    assert tempered({"a": 0.0, "b": 0.0}, 2.0, exclusive=True) == {"a": 0.5, "b": 0.5}
