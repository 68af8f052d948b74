"""Synthetic pixels from a seed: enough edges, noise and saturation that a wrong answer shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def radiograph(seed: int, rows: int, columns: int) -> NDArray[np.uint16]:
    """Return 12-bit stored values: two lungs, ribs, noise, and ends beyond any sensible window."""
    rng = np.random.default_rng([seed, 1])
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    values = 2200 + 500 * y - 300 * x
    for side in (-0.45, 0.45):
        values = values - 1500 * (((x - side) / 0.35) ** 2 + (y / 0.7) ** 2 < 1)
    values = values + 350 * np.sin(25 * y + 6 * x * x + rng.uniform(0, 6))
    values = values + 40 * rng.standard_normal((rows, columns), dtype=np.float32)
    stored: NDArray[np.uint16] = np.clip(values, 0, 4095).astype(np.uint16)
    return stored


def tomogram(seed: int, slices: int, rows: int, columns: int) -> NDArray[np.int16]:
    """Return stored values of a CT with an intercept of -1024: a body, organs, bone, noise."""
    rng = np.random.default_rng([seed, 2])
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    body = (x / 0.85) ** 2 + (y / 0.65) ** 2 < 1
    bone = (x / 0.1) ** 2 + ((y - 0.45) / 0.1) ** 2 < 1
    volume = np.empty((slices, rows, columns), np.int16)
    for z, height in enumerate(np.linspace(0, 6, slices)):
        organs = 120 * np.sin(7 * x + height) * np.cos(9 * y - height)
        values = np.where(bone, 1700, np.where(body, 1060 + organs, 24))
        volume[z] = values + 25 * rng.standard_normal((rows, columns), dtype=np.float32)
    return volume


def tiles(seed: int, count: int, size: int) -> NDArray[np.uint8]:
    """Return [count, size, size]: small pictures, no two alike."""
    rng = np.random.default_rng([seed, 3])
    t = np.linspace(0, 1, size, dtype=np.float32)
    phase = rng.uniform(0, 6, (2, count, 1, 1)).astype(np.float32)
    values = 127 + 100 * np.sin(9 * t[None, :, None] + phase[0]) * np.cos(7 * t[None, None, :] + phase[1])
    values += 8 * rng.standard_normal(values.shape, dtype=np.float32)
    stored: NDArray[np.uint8] = np.clip(values, 0, 255).astype(np.uint8)
    return stored


def labels(seed: int, rows: int, columns: int) -> NDArray[np.uint8]:
    """Return a mask of three labels in round regions; 0 is background."""
    rng = np.random.default_rng([seed, 4])
    y, x = np.ogrid[:rows, :columns]
    mask: NDArray[Any] = np.zeros((rows, columns), np.uint8)
    for n in range(24):
        row, column = rng.uniform(0, rows), rng.uniform(0, columns)
        radius = rng.uniform(0.03, 0.12) * columns
        mask[(y - row) ** 2 + (x - column) ** 2 < radius**2] = n % 3 + 1
    return mask
