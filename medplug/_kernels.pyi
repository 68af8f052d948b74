"""The compiled kernels: one resampling pass, and percentiles.

Indices are (slice, row, column), and an integer is a pixel's centre. The GIL is free while a kernel runs;
results have the same bits for every number of threads. A wrong type raises TypeError, a wrong value ValueError,
and both name the argument.
"""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

instruction_set: str
"""What the inner loops run on: avx512-gather, avx512, avx2 or plain. MEDPLUG_ISA forces one; all give the same bits."""

@final
class Tone:
    """A curve over grey values, immutable; NaN stays NaN.

    v -> table[clamp(floor(v + 0.5) - first)] if there is a table; v * slope + intercept; 1 / (1 + exp(-4 v))
    if `sigmoid`, else clamped to [low, high]; max(v, 0) ** gamma unless gamma is 1; v * scale + offset.
    `table` is one-dimensional float32 and is copied; `low` and `high` may be infinite, all else is finite.
    """

    def __init__(
        self,
        *,
        table: NDArray[np.float32] | None = None,
        first: int = 0,
        slope: float = 1.0,
        intercept: float = 0.0,
        low: float = ...,
        high: float = ...,
        sigmoid: bool = False,
        gamma: float = 1.0,
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> None: ...
    @property
    def table(self) -> NDArray[np.float32] | None:
        """A read-only view."""

    @property
    def first(self) -> int:
        """The value that the table's first entry stands for."""

    @property
    def slope(self) -> float: ...
    @property
    def intercept(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def sigmoid(self) -> bool: ...
    @property
    def gamma(self) -> float: ...
    @property
    def scale(self) -> float: ...
    @property
    def offset(self) -> float: ...

def resample(
    stored: NDArray[Any],
    out: NDArray[np.float32],
    to_stored: NDArray[np.float64],
    *,
    matrix: NDArray[np.float64] | None = None,
    before: Sequence[Tone],
    after: Sequence[Tone],
    filter: str,
    border: str,
    quality: str = "exact",
    fill: Sequence[float],
    threads: int = 1,
) -> None:
    """Fill `out`: out[c](o) = after[c](sum_i weight_i(o) * before[c](sum_k matrix[c, k] * stored[k](i))).

    `stored` is [channels, (slices,) rows, columns] of uint8, int8, uint16, int16 or float32 with any strides;
    `out` has as many axes, float32, C-contiguous, in memory of its own. `to_stored` [n, n + 1] maps an output
    index to a stored one; its linear part has full rank. `matrix` is [output channels, stored channels], the
    identity if None. `before`, `after` and `fill` hold one entry per output channel.

    `filter`: "nearest" (ties go up), "linear", or "antialias", a triangle as wide as the scale along each stored
    axis, at least linear. `border`: "edge" clamps the position to the image and weighs the pixels inside it;
    "constant" counts each pixel outside as `fill`, a value as `before` gives them.

    `quality`: "exact", or "fast", which makes integer images of at least 256 x 256 that are turned and shrunk by 2.4 to
    7.5 either way from smoothed means of two by two pixels, but at their edges. On radiographs the error's root mean
    square is below 0.4 % of the window (48 dB); beside a sharp edge an output may be off by an eighth of the step.
    """

@final
class Resampler:
    """What `resample` is told but for the images, checked once: for many images, or where a call must cost little."""

    def __init__(
        self,
        to_stored: NDArray[np.float64],
        *,
        matrix: NDArray[np.float64] | None = None,
        before: Sequence[Tone],
        after: Sequence[Tone],
        filter: str,
        border: str,
        quality: str = "exact",
        fill: Sequence[float],
    ) -> None: ...
    def __call__(self, stored: NDArray[Any], out: NDArray[np.float32], threads: int = 1) -> None:
        """Do what `resample` does."""

    def from_file(
        self,
        file: int,
        offset: int,
        unused: int,
        shape: Sequence[int],
        dtype: str,
        out: NDArray[np.float32],
        threads: int = 1,
    ) -> bool:
        """Do the same, bit for bit, to an image that lies in a file, and return whether it was done.

        `file` is an open file's descriptor; from the byte `offset` on lie the values as in a C-contiguous array of
        `shape` [channels, (slices,) rows, columns] and `dtype`: uint8, int8, uint16 or int16, in native byte order,
        with `unused` bits above each that count as its sign, or as zeros. Rows are read as they are needed; the file's
        position stays.

        Not done, whatever `out` holds then: all but a clamped line of one channel, resized along the image's own axes;
        where eight outputs read rows of more than 4 MiB; and where the file ends before it is all read.
        """

def resample_batch(
    stored: NDArray[Any],
    out: NDArray[np.float32],
    to_stored: NDArray[np.float64],
    *,
    matrix: NDArray[np.float64] | None = None,
    before: Sequence[Tone],
    after: Sequence[Tone],
    filter: str,
    border: str,
    quality: str = "exact",
    fill: Sequence[float],
    threads: int = 1,
) -> None:
    """Do what `resample` does to many images of one shape in one call, each with a map of its own.

    `stored` is [images, channels, (slices,) rows, columns], `out` likewise and `to_stored` [images, n, n + 1]. Each
    image gets the bits that `resample` gives it; threads share the images.
    """

def read_values(file: int, offset: int, unused: int, out: NDArray[Any]) -> bool:
    """Fill `out`, C-contiguous, with the values that lie in a file as `Resampler.from_file` has them.

    Return False, whatever `out` holds then, where the file ends too soon or cannot be read.
    """

def percentiles(stored: NDArray[Any], q: Sequence[float], *, threads: int = 1) -> list[float]:
    """Return the percentiles `q` (0 to 100) of the finite stored values, by NumPy's "linear" method.

    `stored` has 1 to 4 axes, `resample`'s item types, any strides. Raises ValueError where no value is finite.
    """
