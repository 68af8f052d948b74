"""What comes out: a result for every case, refusals among them, and the JSON schema of all that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .case import CaseReference

RefusalCode = Literal[
    "unreadable",  # damaged, truncated or contradictory
    "decoder",  # no installed decoder reads this transfer syntax
    "not-an-image",  # understood, and holds no pixels
    "geometry",  # no regular volume, or geometry that the preprocessing needs is absent
    "values",  # what the numbers mean is not known, and the preprocessing needs it
    "dimensions",
    "channels",
    "photometric",
    "modality",
    "body-part",
    "view",
    "spacing",
    "bits",
    "novel",  # unlike what the model was trained on, and the session refuses such images
    "not-finite",  # the model's answer is no number
    "failed",  # the model's plugin raised an exception on it
    "near-copy",  # of a generator: whatever was drawn was nearly an image that it was trained on
]


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Classification(_Struct, frozen=True, tag="classification"):
    """Probabilities by label.

    They sum to 1 when `exclusive`; otherwise each label has its own. `label` is the most probable one of
    exclusive labels. `positive` lists the labels whose probability reaches the model folder's threshold; it is
    None as long as the model has no thresholds. Where the model abstains from what it is not sure of, `abstained` says
    whether it did: then there are probabilities, and neither `label` nor `positive`. None where it never abstains.
    """

    probabilities: dict[str, float]
    exclusive: bool = True
    label: str | None = None
    positive: tuple[str, ...] | None = None
    abstained: bool | None = None


class Anomaly(_Struct, frozen=True, tag="anomaly"):
    """How unusual the image is; larger is more unusual, on the model's own scale.

    `map` is the score by place, on the source's grid. `anomalous` is None as long as the model has no threshold.
    """

    score: float
    map: NDArray[np.float32] | None = None
    reconstruction: NDArray[np.float32] | None = None
    anomalous: bool | None = None


class Segmentation(_Struct, frozen=True, tag="segmentation"):
    """A label for each pixel: `mask` holds 0 for background and n for `labels[n - 1]`, on the source's grid.

    A plugin's `decode` gives `probabilities` [1 + labels, ...] on the model's grid, background first; the session
    carries them back, takes the largest, and keeps them only where it is asked to.
    """

    labels: tuple[str, ...]
    mask: NDArray[np.uint8] | None = None
    probabilities: NDArray[np.float32] | None = None


class Regression(_Struct, frozen=True, tag="regression"):
    """Named numbers, in the units that their names say."""

    values: dict[str, float]


class Generated(_Struct, frozen=True, tag="generated"):
    """A synthetic image, [channels, ...] on a 0 to 1 scale, where 1 is displayed white. It shows no patient.

    `label` is what it was asked to show, None for a model that learned without labels. `withheld` counts the draws
    before this one that were near copies of training images.
    """

    image: NDArray[np.float32]
    seed: int
    index: int
    label: str | None = None
    withheld: int = 0


class Refused(_Struct, frozen=True, tag="refused"):
    """The image was not analysed, and why. Exit code 1."""

    code: RefusalCode
    reason: str


class Skipped(_Struct, frozen=True, tag="skipped"):
    """A file of a folder that holds no image, or an image that nobody selected; it counts for nothing."""

    reason: str


Prediction = Classification | Anomaly | Segmentation | Regression | Generated
Outcome = Prediction | Refused | Skipped


@dataclass(frozen=True)
class Rejected:
    """What a source yields in place of a case that it cannot read."""

    reference: CaseReference
    outcome: Refused | Skipped


class Explanation(_Struct, frozen=True):
    """Where the model looked: `map` on the source's grid, 0 to 1, for `label`, by `method`."""

    method: str
    label: str
    map: NDArray[np.float32]


class Novelty(_Struct, frozen=True):
    """How unlike what the model was trained on the image is: 0 is usual, above `limit` it is `novel`.

    The limit stands in the model folder, as a percentile of validation rows. It is no probability.
    """

    score: float
    limit: float
    novel: bool


class ModelReference(_Struct, frozen=True):
    """Which model answered: the plugin's distribution and version, and the weights."""

    name: str
    version: str
    distribution: str
    weights_sha256: str


class Provenance(_Struct, frozen=True):
    """With what the answer was computed."""

    medplug: str
    torch: str
    device: str
    precision: str


class Result(_Struct, frozen=True):
    """The answer to one case: a prediction, or why there is none.

    `unverified` lists the fields of the input contract that the source did not state and that were admitted.
    `novelty` is None where the model folder holds no measure of it, and of what was not shown to the network.
    `plan_id` is the SHA-256 of the preprocessing. Arrays stand in files beside the JSON.
    """

    case: CaseReference
    prediction: Outcome
    version: int = msgspec.field(default_factory=lambda: 1)  # a factory, so that it is always written
    unverified: tuple[str, ...] = ()
    explanation: Explanation | None = None
    novelty: Novelty | None = None
    model: ModelReference | None = None
    plan_id: str | None = None
    provenance: Provenance | None = None

    @property
    def refused(self) -> bool:
        """Whether the case was refused."""
        return isinstance(self.prediction, Refused)

    @property
    def answered(self) -> bool:
        """Whether there is a prediction."""
        return not isinstance(self.prediction, Refused | Skipped)


class ArrayFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How JSON speaks of an array: a `.npy` file beside it, its shape, dtype and SHA-256."""

    file: str
    shape: tuple[int, ...]
    dtype: str
    sha256: str


def _schema_hook(kind: type) -> dict[str, Any]:
    if kind is np.ndarray or getattr(kind, "__origin__", None) is np.ndarray:
        return {"$ref": "#/$defs/ArrayFile"}
    raise NotImplementedError(f"no schema for {kind}")


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one result line."""
    (reference, array), components = msgspec.json.schema_components(
        [Result, ArrayFile], schema_hook=_schema_hook, ref_template="#/$defs/{name}"
    )
    del array
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A medplug result",
        **reference,
        "$defs": components,
    }
