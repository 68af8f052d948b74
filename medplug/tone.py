"""The tone of an image as data for the kernel: from stored values to the 0 to 1 scale that a preprocessing names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from . import _kernels
from .augmentation import Draw
from .case import Image, LookupTable, Pixels, ValueMeaning
from .errors import PreprocessingError
from .padding import measured
from .preprocessing import Display, FitPercentiles, Full, Percentiles, Range, Stored, Values, Window, Windows


@dataclass(frozen=True, eq=False)
class Curve:
    """From modality values to the 0 to 1 scale: through `table` if there is one, then a line, then its ends."""

    slope: float
    intercept: float
    ends: Literal["clamp", "sigmoid", "open"] = "clamp"
    table: LookupTable | None = None
    gamma: float = 1.0

    def drawn(self, draw: Draw) -> Curve:
        """Join a draw's tone; a sigmoid's argument is centred on 0 where a line's middle is 0.5."""
        middle = 0.0 if self.ends == "sigmoid" else 0.5
        slope = self.slope * draw.contrast
        intercept = (self.intercept - middle) * draw.contrast + middle + draw.brightness
        return replace(self, slope=slope, intercept=intercept, gamma=draw.gamma)

    def tone(self, scale: float = 1.0, offset: float = 0.0) -> _kernels.Tone:
        """Return the kernel's tone for modality values."""
        table, first = (self.table.entries, self.table.first) if self.table else (None, 0)
        return self._tone(table, first, self.slope, self.intercept, scale, offset)

    def after_modality(self, image: Image) -> _kernels.Tone:
        """Return the kernel's tone for stored values: the modality transform and this curve in one."""
        values = image.values
        if self.table is not None:
            entries, first = _compose_tables(self.table, image)
            return self._tone(entries, first, self.slope, self.intercept)
        if values.modality_lut is not None:
            lut = values.modality_lut
            return self._tone(lut.entries, lut.first, self.slope, self.intercept)
        slope, intercept = values.rescale
        return self._tone(None, 0, slope * self.slope, intercept * self.slope + self.intercept)

    def at(self, value: float) -> float:
        """Return the curve at one modality value."""
        if self.table is not None:
            place = int(np.clip(np.floor(value + 0.5) - self.table.first, 0, len(self.table.entries) - 1))
            value = float(self.table.entries[place])
        value = value * self.slope + self.intercept
        if self.ends == "sigmoid":
            value = float(1 / (1 + np.exp(np.clip(-4 * value, -700, 700))))
        elif self.ends == "clamp":
            value = min(max(value, 0.0), 1.0)
        return value if self.gamma == 1 else float(max(value, 0.0) ** self.gamma)

    def _tone(
        self,
        table: NDArray[np.float32] | None,
        first: int,
        slope: float,
        intercept: float,
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> _kernels.Tone:
        clamp = self.ends == "clamp"
        return _kernels.Tone(
            table=table,
            first=first,
            slope=slope,
            intercept=intercept,
            low=0.0 if clamp else -np.inf,
            high=1.0 if clamp else np.inf,
            sigmoid=self.ends == "sigmoid",
            gamma=self.gamma,
            scale=scale,
            offset=offset,
        )


def modality(values: ValueMeaning) -> _kernels.Tone:
    """The modality transform, PS3.3 C.11.1."""
    if values.modality_lut is not None:
        return _kernels.Tone(table=values.modality_lut.entries, first=values.modality_lut.first)
    slope, intercept = values.rescale
    return _kernels.Tone(slope=slope, intercept=intercept)


def to_modality(values: ValueMeaning, stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the modality transform (PS3.3 C.11.1) to stored values."""
    if values.modality_lut is not None:
        lut = values.modality_lut
        places = np.clip(np.floor(stored + 0.5) - lut.first, 0, len(lut.entries) - 1)
        looked_up: NDArray[np.float64] = lut.entries[places.astype(int)].astype(np.float64)
        return looked_up
    slope, intercept = values.rescale
    return stored * slope + intercept


def _compose_tables(voi: LookupTable, image: Image) -> tuple[NDArray[np.float32], int]:
    """Return the modality transform and a VOI LUT as one table over the stored values."""
    low, high = _stored_range(image, "a VOI LUT")
    modality = to_modality(image.values, np.arange(low, high + 1, dtype=np.float64))
    places = np.clip(np.floor(modality + 0.5) - voi.first, 0, len(voi.entries) - 1).astype(int)
    return np.ascontiguousarray(voi.entries[places], np.float32), low


def _stored_range(image: Image, purpose: str) -> tuple[int, int]:
    if image.stored_range is None:
        raise PreprocessingError(f"{purpose} needs integer pixels, and these are {image.dtype}", "values")
    return image.stored_range


def looks_at_pixels(values: Values, image: Image) -> bool:
    """Whether the tone depends on the image's own pixels."""
    if isinstance(values, Display):
        meaning = image.values
        stated = meaning.voi_lut is not None or meaning.windows or meaning.full_range is not None
        return not stated and values.fallback is not None and looks_at_pixels(values.fallback, image)
    return isinstance(values, Percentiles)


def curves(values: Values, image: Image, pixels: Pixels | None) -> list[Curve]:
    """Return the curve of each output channel, inversion included; `pixels` may be None where nothing looks at them."""
    if isinstance(values, FitPercentiles):
        raise PreprocessingError("this preprocessing is still to be fitted: train first")
    if isinstance(values, Windows):
        return [_inverted(_window(window.center, window.width, window.function), image) for window in values.windows]
    if isinstance(values, Stored):
        return [Curve(1.0, 0.0, "open")]
    return [_inverted(_curve(values, image, pixels), image)]


def _curve(values: Values, image: Image, pixels: Pixels | None) -> Curve:
    if isinstance(values, Window):
        return _window(values.center, values.width, values.function)
    if isinstance(values, Range):
        return _between(values.low, values.high)
    if isinstance(values, Percentiles):
        assert pixels is not None
        return _between(*percentile_range(values, image, pixels))
    if isinstance(values, Full):
        ends = to_modality(image.values, np.array(_stored_range(image, "the full range"), np.float64))
        return _between(float(ends.min()), float(ends.max()))
    assert isinstance(values, Display)
    meaning = image.values
    if meaning.voi_lut is not None:
        return Curve(1 / meaning.voi_lut.maximum, 0.0, table=meaning.voi_lut)
    if meaning.windows:
        first = meaning.windows[0]
        return _window(first.center, first.width, first.function)
    if meaning.full_range is not None:
        return _between(*meaning.full_range)
    if values.fallback is not None:
        return _curve(values.fallback, image, pixels)
    raise PreprocessingError(
        "the image has neither a VOI window nor a VOI LUT, and the preprocessing names no display.fallback",
        "values",
    )


def _window(center: float, width: float, function: str) -> Curve:
    """PS3.3 C.11.2.1.2 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT)."""
    if function == "SIGMOID":
        return Curve(1 / width, -center / width, "sigmoid")
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-6)  # a width of 1 is a step
    return Curve(1 / width, 0.5 - center / width)


def _between(low: float, high: float) -> Curve:
    width = high - low if high > low else 1.0  # an image of one value becomes 0
    return Curve(1 / width, -low / width)


def percentile_range(values: Percentiles, image: Image, pixels: Pixels) -> tuple[float, float]:
    """Return the two percentiles in modality units, over all channels; padding takes no part."""
    wanted = [values.low, values.high]
    if image.values.padding is not None:
        pixels, wanted = measured(pixels, image.values.padding, wanted)
    try:
        stored = np.array(_kernels.percentiles(pixels, wanted), np.float64)
    except ValueError as error:
        raise PreprocessingError(f"the percentiles of this image cannot be taken: {error}") from error
    low, high = sorted(to_modality(image.values, stored).tolist())
    return low, high


def _inverted(curve: Curve, image: Image) -> Curve:
    """Display the lowest value white where the image says so; the line turns before the clamp, which is symmetric."""
    if not image.values.inverted:
        return curve
    if curve.ends == "sigmoid":
        return replace(curve, slope=-curve.slope, intercept=-curve.intercept)
    return replace(curve, slope=-curve.slope, intercept=1 - curve.intercept)
