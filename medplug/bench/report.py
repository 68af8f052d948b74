"""What a run of the benchmark leaves behind, as data."""

from __future__ import annotations

from typing import Literal

import msgspec


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Machine(_Part, frozen=True):
    """Where it ran. `copy_bytes_per_second` counts bytes read and written, by number of threads."""

    cpu: str
    instructions: str
    cpus: int
    system: str
    load: float | None
    copy_bytes_per_second: dict[str, float]
    versions: dict[str, str]


class Item(_Part, frozen=True):
    """A work item; `bytes_moved` is what it must read and write at least."""

    name: str
    title: str
    bytes_moved: int


class Row(_Part, frozen=True):
    """One contestant on one item with so many threads.

    `answer`: "exact", "close" (another good filter), "wrong", or "failed" with an exception; `error` is the largest, in
    units of the window. `seconds` is the figure that is compared: median CPU time for one thread, best wall time for
    more. `ratio` is how many times as fast as the fastest peer whose answer is exact or close, `ratio_exact` as the
    fastest whose answer is exact; `roofline` the share of the speed at which the machine copies as many bytes.
    A wrong answer has none of these.
    """

    item: str
    threads: int
    library: str
    how: str
    answer: Literal["exact", "close", "wrong", "failed"]
    error: float | None = None
    problem: str | None = None
    rounds: int = 0
    cpu_median: float | None = None
    wall_median: float | None = None
    wall_best: float | None = None
    seconds: float | None = None
    ratio: float | None = None
    ratio_exact: float | None = None
    roofline: float | None = None


class Report(_Part, frozen=True):
    """A whole run; rows are in order of item, threads and time."""

    machine: Machine
    items: tuple[Item, ...]
    rows: tuple[Row, ...]
    rounds: int
    small: bool
    version: Literal[1] = 1

    @property
    def threads(self) -> list[int]:
        """The numbers of threads that were measured."""
        return sorted({row.threads for row in self.rows})

    def of(self, item: str, threads: int) -> list[Row]:
        """The rows of one table."""
        return [row for row in self.rows if (row.item, row.threads) == (item, threads)]

    def to_json(self) -> bytes:
        """Return it as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def from_json(text: bytes) -> Report:
    """Read what `to_json` wrote; `msgspec.DecodeError` for anything else."""
    return msgspec.json.decode(text, type=Report)
