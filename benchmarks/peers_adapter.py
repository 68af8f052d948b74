"""Puts medplug's kernels under a peer benchmark that hands over an item, its spec and the number of threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medplug import _kernels

NAME = "medplug"
VARIANTS = ["exact", "fast"]


def to_stored(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn matrices over (x, y[, z]) into the kernels' own over ([slice,] row, column)."""
    return np.concatenate([matrix[..., ::-1, -2::-1], matrix[..., ::-1, -1:]], axis=-1)


def prepare(item: str, spec: Mapping[str, Any], threads: int) -> Callable[[Mapping[str, Any]], NDArray[np.float32]]:
    """Return what answers the item; everything that follows from `spec` alone is done here."""
    window = {"low": 0.0, "high": 1.0}
    width = spec["hi"] - spec["lo"]
    curve = {"slope": spec["slope"] / width, "intercept": (spec["intercept"] - spec["lo"]) / width}
    if spec["invert"]:
        curve = {"slope": -curve["slope"], "intercept": 1.0 - curve["intercept"]}
    normal = {"scale": 1.0 / spec["std"], "offset": -spec["mean"] / spec["std"]}
    same = _kernels.Tone()
    after_resampling = spec["op"] == "volume"
    before = same if after_resampling else _kernels.Tone(**curve, **window)
    after = _kernels.Tone(**(curve | window if after_resampling else {}), **normal)
    images = spec["shape"][0] if item in ("W3", "W6") else 1
    out = np.empty((images, 1, *spec["out"]), np.float32)
    sizes, new = np.array(spec["shape"][-2:]), np.array(spec["out"][-2:])
    resize = np.column_stack([np.diag(sizes / new), (sizes / new - 1) / 2])
    how = {
        "before": [before],
        "after": [after],
        "filter": "linear" if spec["filter"] in ("bilinear", "point-trilinear") else "antialias",
        "quality": spec.get("variant", "exact"),
        "border": "constant" if spec.get("border") == "constant" else "edge",
        "fill": [spec["fill_hu"] - spec["intercept"] if after_resampling else 0.0],
    }

    def run(data: Mapping[str, Any]) -> NDArray[np.float32]:
        maps = resize if "matrix" not in data else to_stored(data["matrix"])
        if images > 1:
            _kernels.resample_batch(data["x"][:, None], out, maps, **how, threads=threads)
        else:
            _kernels.Resampler(maps.reshape(maps.shape[-2:]), **how)(data["x"][None], out[0], threads)
        return out

    return run
