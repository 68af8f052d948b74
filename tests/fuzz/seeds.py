"""Where the fuzzers of the kernels begin: plain calls, byte by byte as cpp/fuzz_resample.cpp reads them."""

from pathlib import Path

ITEM_TYPES = 5
SCALES = {"same": [1, 1], "half": [2, 2], "double": [0.5, 0.5], "flipped": [-1, 1], "wide": [7.9, -7.9]}
TURN = [0.875, -0.5, 0.5, 0.875]


def number(value: float) -> bytes:
    """`Input::number`: whole part, then 1/256."""
    whole = int(value // 1)
    return bytes([whole % 256, round((value - whole) * 256)])


def image(
    item: int,
    *,
    volume: bool,
    kind: int,
    entries: list[float],
    filter_: int,
    border: int,
    plain: bool,
    fast: bool = False,
) -> bytes:
    """One call of `resample` on one channel of 12 x 5, into 5 x 33."""
    shapes = bytes([1, 3, 11, 4]) if volume else bytes([1, 11, 4])  # the axis that may be long, then sizes less one
    out = bytes([2, 2, 4, 32]) if volume else bytes([2, 4, 32])
    axes = 3 if volume else 2
    rows = [entries[i : i + len(entries) // axes] for i in range(0, len(entries), len(entries) // axes)]
    turn = b"\0" if kind == 1 else b""
    linear = b"".join(b"".join(map(number, row)) + number(1.5) for row in rows)
    tones = bytes([0]) + number(7) if plain else bytes([1, 63, *range(40, 80), 63, *range(80, 120), 9, 0])
    layout = bytes([0, 0, 0, 0, 0, *([0] if item == 4 else []), *range(7, 255, 16)])
    return (
        bytes([item, volume, 0])
        + shapes
        + out
        + b"\0"
        + bytes([kind])
        + turn
        + linear
        + bytes([filter_, border, fast])
        + (tones + layout)
    )


def write(folder: Path) -> None:
    """Write the seeds of `resample` and of `percentiles` into a folder of its own each."""
    for name in ("resample", "percentiles"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for item in range(ITEM_TYPES):
        for filter_ in range(3):
            for border in range(2):
                call = {"item": item, "filter_": filter_, "border": border}
                for name, scale in SCALES.items():
                    seed = image(**call, volume=False, kind=0, entries=[16 * one for one in scale], plain=True)
                    (folder / "resample" / f"{name}-{item}{filter_}{border}").write_bytes(seed)
                turned = image(**call, volume=False, kind=2, entries=[32 * one for one in TURN], plain=False, fast=True)
                (folder / "resample" / f"turned-{item}{filter_}{border}").write_bytes(turned)
                volume = image(**call, volume=True, kind=0, entries=[16, 24, 8], plain=False)
                (folder / "resample" / f"volume-{item}{filter_}{border}").write_bytes(volume)
        for size in (1, 31):
            seed = bytes([item, size, 2, 11, 11, 3, 0, 128, 255, 1, 0, 0, 0, 0, 0, 0, *range(7, 255, 16)])
            (folder / "percentiles" / f"{item}-{size}").write_bytes(seed)
