"""A table of small pictures of patients, and a run as a benchmark leaves it."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from learners import pixels
from PIL import Image

from medplug.bench.models.report import Measured, Place
from medplug.dataset import DataOptions

OPTIONS = DataOptions(labels=("finding",), patient="person")


def write_table(folder: Path, test_files: bool = False) -> Path:
    """48 rows to train on, 16 to validate with and 16 for test, two rows a patient; of the test rows no file exists."""
    images, labels = pixels(80)
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["split", "file", "finding", "person"])
        for row, (image, label) in enumerate(zip(images, labels)):
            split = "train" if row < 48 else "val" if row < 64 else "test"
            if split != "test" or test_files:
                Image.fromarray(np.asarray(image)).save(folder / f"{row}.png")
            writer.writerow([split, f"{row}.png", ["left", "right"][label], f"P{row // 4 * 2 + row % 2}"])
    return folder / "table.csv"


def measured(**more: Any) -> Measured:
    """A run of two seeds."""
    given: dict[str, Any] = {
        "date": "2026-01-01T00:00:00+00:00",
        "how": "final",
        "dataset": "mine",
        "data_sha256": "d" * 64,
        "grouped_by": "equal images",
        "rows": {"train": 3, "val": 2, "test": 1},
        "plugin": "learners:sides",
        "task": "classification",
        "settings": {},
        "variant": "",
        "recipe": {"options": {"width": 4}},
        "recipe_sha256": "r" * 64,
        "medplug": "1.0",
        "commit": None,
        "code_sha256": "c" * 64,
        "seeds": (0, 1),
        "folds": 1,
        "refused": 0,
        "cpu_minutes": 2.0,
        "wall_minutes": 1.0,
        "figures": (),
        "baselines": (),
        "margins": (),
        "place": Place(cpu="x", cpus=2, system="Linux 6", device="cpu", threads=1, torch="2"),
    }
    return Measured(**{**given, **more})
