"""The log of final runs: added to, never changed, and asked before test rows are scored again."""

import pytest
from bench.models.parts import measured

from medplug.bench.models import log
from medplug.errors import CallError


def test_runs_are_added_and_earlier_lines_stay_byte_for_byte(tmp_path):
    path = tmp_path / "docs" / "log.jsonl"
    log.append(path, measured())
    before = path.read_bytes()

    log.append(path, measured(seeds=(0, 1, 2)))

    assert path.read_bytes().startswith(before)
    assert log.read(path) == (measured(), measured(seeds=(0, 1, 2)))


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: text + b"{}\n", lambda text: b"x" + text])
def test_a_damaged_log_is_named_and_not_added_to(tmp_path, damage):
    path = tmp_path / "log.jsonl"
    log.append(path, measured())
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()

    with pytest.raises(CallError, match=r"log\.jsonl, line \d, is no final run"):
        log.append(path, measured())

    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("recipe", "data", "seeds", "refused"),
    [
        ("r" * 64, "d" * 64, (0, 1), True),
        ("r" * 64, "d" * 64, (1, 7), True),
        ("r" * 64, "d" * 64, (2,), False),
        ("x" * 64, "d" * 64, (0, 1), False),
        ("r" * 64, "x" * 64, (0, 1), False),
    ],
)
def test_the_same_recipe_data_and_seed_are_refused(tmp_path, recipe, data, seeds, refused):
    path = tmp_path / "log.jsonl"
    log.append(path, measured(recipe_sha256="r" * 64, data_sha256="d" * 64, seeds=(0, 1)))

    if refused:
        with pytest.raises(CallError, match="--again"):
            log.refuse_repeated(path, recipe, data, seeds)
    else:
        log.refuse_repeated(path, recipe, data, seeds)
