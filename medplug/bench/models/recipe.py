"""What is frozen before test rows are scored: a plugin, its options and its recipe, and the code that runs them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

import medplug

from ...dataset import DataOptions, load
from ...errors import CallError
from ...model import Task
from ...plugins import Offer
from ...preprocessing import to_plain
from ...training.fitting import fit, offer_of, unit_of
from ...training.leaks import Duplicates
from ...training.pretrained import read as read_pretrained

DUPLICATES: Duplicates = "drop"
"""What becomes of train rows whose image stands in a later split: known sets have some, as they were published."""

TASKS = (Task.CLASSIFICATION, Task.ANOMALY, Task.GENERATION)


@dataclass(frozen=True, eq=False)
class Variant:
    """A plugin with the settings that a user tries. `text` is how the user wrote those that differ."""

    plugin: str
    settings: Mapping[str, str]
    text: str = ""


def offer(plugin: str) -> Offer:
    """Return an installed plugin that can be benchmarked; `CallError` for another."""
    found = offer_of(plugin)
    if found.task not in TASKS:
        wanted = ", ".join(task.value for task in TASKS)
        raise CallError(f"{plugin} is for {found.task.value}: there are benchmarks of {wanted}")
    return found


def resolve(
    found: Offer,
    settings: Mapping[str, str],
    data: Path,
    options: DataOptions,
    normal: str | None,
    pretrained: Path | None = None,
) -> dict[str, Any]:
    """Return, as plain data, all that decides how the plugin learns these data, but for the code and the seed."""
    dataset = load(data, options, task=found.task, unit=unit_of(found, settings))
    fitted = fit(found, dataset, settings, options, normal, duplicates=DUPLICATES)
    model = fitted.model
    made = {
        "plugin": f"{found.qualified} {model.version}",
        "options": model.options,
        "recipe": fitted.recipe,
        "augmentation": model.augmentation(),
        "preprocessing": to_plain(model.preprocessing()),
        "normal": fitted.normal,
        "pretrained": None if pretrained is None else read_pretrained(pretrained).sha256,
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))  # as the log gives it back
    return plain


def sha256(plain: Any) -> str:
    """Return the hash of plain data, whatever the order of its keys."""
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


def code_sha256(found: Offer) -> str:
    """Return a hash of medplug's own Python code and of the plugin's: what is finished by other code is no use."""
    own = Path(str(medplug.__file__)).parent
    module = Path(str(sys.modules[found.model.__module__.partition(".")[0]].__file__))
    files = [*own.rglob("*.py"), *(module.parent.rglob("*.py") if module.name == "__init__.py" else [module])]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
