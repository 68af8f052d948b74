"""An atheris target over the Python binding: whatever is passed, only TypeError and ValueError come out.

Run by `nox -s fuzz`. Arguments are plausible more often than not, for a refusal ends a call early.
"""

import contextlib
import math
import os
import sys
from collections.abc import Callable
from typing import Any

import atheris
import numpy as np
from numpy.typing import NDArray

from medplug._kernels import Resampler, Tone, percentiles, read_values, resample

ITEM_TYPES = ["u1", "i1", "u2", "i2", "f4"]
OTHER_TYPES = ["f8", ">u2", ">f4", "i4", "u8", "c8", "?", "O", "U2", "M8[s]", "V3", "f2", [("a", "u1"), ("b", "f4")]]
FILTERS = ["nearest", "linear", "antialias"]
BORDERS = ["edge", "constant"]
MAX_AXIS = 2**20
"""The longest axis that the binding accepts: a longer one is refused at once, all shorter ones are kept short here."""

FILE = os.memfd_create("image")
os.write(FILE, bytes(range(256)) * 4)

Data = atheris.FuzzedDataProvider


class OwnError(Exception):
    """What the caller's own objects raise, and may see again."""


class Hostile:
    """Has every method that the binding could call, and all of them raise."""

    def raises(self, *_: Any) -> Any:
        raise OwnError

    __float__ = __index__ = __int__ = __len__ = __getitem__ = __iter__ = __array__ = __str__ = __bool__ = raises


class Subclass(np.ndarray[Any, Any]):
    """An array of a class that NumPy does not know."""


def rarely(data: Data) -> bool:
    return bool(data.ConsumeIntInRange(0, 15) == 15)


def number(data: Data) -> float:
    kind = data.ConsumeIntInRange(0, 3)
    if kind == 0:
        return float(data.ConsumeFloat())
    if kind == 1:
        return float(data.PickValueInList([0.0, 1.0, -1.0, 1e100, 1.1e100, math.inf, -math.inf, math.nan, 5e-324]))
    return float(data.ConsumeIntInRange(-300, 300) / 16)


def laid_out(data: Data, array: NDArray[Any]) -> NDArray[Any]:
    """The same values in another memory layout, now and then read-only or of another class."""
    kind = data.ConsumeIntInRange(0, 11)
    if kind == 0:
        array = np.asfortranarray(array)
    elif kind == 1 and array.ndim:
        array = array[..., ::-1]
    elif kind == 2 and array.ndim:
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    elif kind == 3 and not array.dtype.hasobject:  # not aligned
        raw = np.empty(array.nbytes + 1, np.uint8)[1:]
        unaligned = raw.view(array.dtype).reshape(array.shape) if array.size else array
        unaligned[...] = array
        array = unaligned
    elif kind == 4:
        array = array.view(Subclass)
    elif kind == 5:
        array = array.view()
        array.flags.writeable = False
    elif kind == 6 and array.ndim:
        array = np.broadcast_to(array[:1], array.shape)
    elif kind == 7 and array.ndim > 1:
        array = array.swapaxes(data.ConsumeIntInRange(0, array.ndim - 1), -1)
    return array


def array(data: Data, axes: int, types: list[Any]) -> NDArray[Any]:
    """An array of short axes, or one that is broadcast beyond every limit."""
    dtype = np.dtype(data.PickValueInList(OTHER_TYPES if rarely(data) else types))
    if rarely(data):
        axes = data.ConsumeIntInRange(0, 6)
    shape = [data.ConsumeIntInRange(0 if rarely(data) else 1, 6) for _ in range(axes)]
    made: NDArray[Any] = np.zeros(shape, dtype)
    if made.size and not dtype.hasobject:
        raw = data.ConsumeBytes(min(made.nbytes, 64))
        made.reshape(-1).view(np.uint8)[: len(raw)] = np.frombuffer(raw, np.uint8)
    if axes and rarely(data) and rarely(data):
        return np.broadcast_to(np.zeros((), dtype), (MAX_AXIS + 1,) * axes if axes < 3 else (MAX_AXIS,) * axes)
    return laid_out(data, made)


def anything(data: Data) -> Any:
    """An object that no argument expects, more often than not."""
    makers: list[Callable[[], Any]] = [
        lambda: None,
        lambda: data.ConsumeInt(40),
        lambda: 10**400,
        lambda: number(data),
        lambda: data.ConsumeUnicode(8),
        lambda: data.ConsumeBytes(8),
        lambda: [],
        lambda: {},
        lambda: [anything(data)],
        lambda: (number(data), number(data)),
        lambda: [10**400],
        lambda: range(data.ConsumeIntInRange(0, 4)),
        lambda: iter([1.0]),
        object,
        lambda: Tone,
        lambda: Tone(),
        Hostile,
        lambda: [Hostile()],
        lambda: np.float32(number(data)),
        lambda: memoryview(b"abc"),
        lambda: array(data, 3, ITEM_TYPES),
        lambda: [Tone(), None],
        lambda: Tone.__new__(Tone),  # not initialised
        lambda: [Tone.__new__(Tone)],
    ]
    return makers[data.ConsumeIntInRange(0, len(makers) - 1)]()


def or_anything(data: Data, plausible: Callable[[], Any]) -> Any:
    return anything(data) if data.ConsumeIntInRange(0, 31) == 31 else plausible()


def tone(data: Data) -> Tone:
    """A tone of plausible arguments, or the plain one where they are refused."""
    if data.ConsumeBool():
        return Tone()
    how: dict[str, Any] = {}
    for name in ("slope", "intercept", "low", "high", "gamma", "scale", "offset"):
        if rarely(data):
            how[name] = or_anything(data, lambda: number(data))
    if rarely(data):
        how["table"] = or_anything(data, lambda: array(data, 1, ["f4"]))
    if rarely(data):
        how["first"] = or_anything(data, lambda: data.ConsumeInt(6))
    if rarely(data):
        how["sigmoid"] = or_anything(data, data.ConsumeBool)
    try:
        made = Tone(**how)
    except (TypeError, ValueError, OwnError):
        return Tone()
    for name in ("table", "first", "slope", "low", "sigmoid"):
        getattr(made, name)
    return made


def call_resample(data: Data) -> None:
    axes = data.PickValueInList([3, 3, 3, 4])
    stored = or_anything(data, lambda: array(data, axes, ITEM_TYPES))
    channels = stored.shape[0] if isinstance(stored, np.ndarray) and stored.ndim and stored.shape[0] < 9 else 1
    out_channels = data.ConsumeIntInRange(1, 3) if rarely(data) else channels
    out = np.zeros((out_channels, *(data.ConsumeIntInRange(1, 9) for _ in range(axes - 1))), np.float32)
    spatial = axes - 1
    to_stored = np.eye(spatial, spatial + 1)
    for _ in range(data.ConsumeIntInRange(0, 6)):
        to_stored.flat[data.ConsumeIntInRange(0, to_stored.size - 1)] = number(data)
    how: dict[str, Any] = {
        "before": or_anything(data, lambda: [tone(data) for _ in range(out_channels)]),
        "after": or_anything(data, lambda: [tone(data) for _ in range(out_channels)]),
        "filter": or_anything(data, lambda: data.PickValueInList(FILTERS)),
        "border": or_anything(data, lambda: data.PickValueInList(BORDERS)),
        "quality": or_anything(data, lambda: data.PickValueInList(["exact", "fast"])),
        "fill": or_anything(data, lambda: [number(data) for _ in range(out_channels)]),
    }
    threads = or_anything(data, lambda: data.ConsumeIntInRange(1, 3))
    if out_channels != channels or rarely(data):
        how["matrix"] = or_anything(data, lambda: np.ones((out_channels, channels)))
    if rarely(data):
        out = or_anything(data, lambda: laid_out(data, out))
    elif rarely(data):
        out = stored
    to_stored = or_anything(data, lambda: laid_out(data, to_stored))
    way = data.ConsumeIntInRange(0, 7)
    if way < 4:
        resample(stored, out, to_stored, **how, threads=threads)
        return
    resampler = Resampler.__new__(Resampler) if way == 7 and rarely(data) else Resampler(to_stored, **how)
    if way < 6:
        resampler(stored, out, threads)
        return
    shape = or_anything(data, lambda: getattr(stored, "shape", (1, 2, 2)))
    dtype = or_anything(data, lambda: data.PickValueInList(["uint8", "int8", "uint16", "int16"]))
    resampler.from_file(*file(data), shape, dtype, out, threads)


def file(data: Data) -> tuple[Any, Any, Any]:
    """A descriptor of a short file, an offset and unused bits."""
    return (
        or_anything(data, lambda: FILE),
        or_anything(data, lambda: data.ConsumeInt(8 if rarely(data) else 1)),
        or_anything(data, lambda: data.ConsumeIntInRange(-1, 16) if rarely(data) else 0),
    )


def call_read_values(data: Data) -> None:
    read_values(*file(data), or_anything(data, lambda: array(data, data.ConsumeIntInRange(0, 4), ITEM_TYPES)))


def call_percentiles(data: Data) -> None:
    stored = or_anything(data, lambda: array(data, data.ConsumeIntInRange(1, 4), ITEM_TYPES))
    q = or_anything(data, lambda: [number(data) for _ in range(data.ConsumeIntInRange(0, 3))])
    found = percentiles(stored, q, threads=or_anything(data, lambda: data.ConsumeIntInRange(1, 3)))
    assert all(map(math.isfinite, found)), found


def fuzz(raw: bytes) -> None:
    """One call; any other exception than those two, or than one of the caller's own, ends the run as a finding."""
    data = Data(raw)
    call = call_percentiles if rarely(data) else call_read_values if rarely(data) else call_resample
    with contextlib.suppress(TypeError, ValueError, OwnError):
        call(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
