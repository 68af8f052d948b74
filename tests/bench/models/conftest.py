"""Small models that learn in seconds, and tables of small pictures for them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from bench.models.parts import OPTIONS, write_table
from learners import install, write_npz

from medplug.bench.models.main import Asked
from medplug.bench.models.recipe import Variant
from medplug.bench.models.rows import read
from medplug.dataset import DataOptions


@pytest.fixture(autouse=True)
def learners(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the small models, and keep to one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.syspath_prepend(str(install(tmp_path_factory.mktemp("site"))))
    yield
    torch.set_num_threads(before)


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    return write_npz(tmp_path / "sides.npz", train=48, val=16, test=16)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """24 patients with two pictures each in train, 8 in val; the test rows name files that are not there."""
    return write_table(tmp_path)


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Asked]:
    """What is measured: `sides` with few steps, two seeds and two folds, unless it is said otherwise."""

    def make(data: Path, *plugins: str, settings: dict[str, str] | None = None, **more: object) -> Asked:
        variants = [Variant(plugin, settings or {"recipe.steps": "3"}) for plugin in plugins or ("sides",)]
        given: dict[str, object] = {
            "dataset": "mine",
            "rows": read(data, OPTIONS if data.suffix == ".csv" else DataOptions()),
            "variants": variants,
            "seeds": (0, 1),
            "output": tmp_path / "out",
            "folds": 2,
            "device": "cpu",
            "log": tmp_path / "log.jsonl",
        }
        return Asked(**{**given, **more})  # type: ignore[arg-type]

    return make
