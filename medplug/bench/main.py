"""A run: each item's answers are checked, then the contestants are timed in turns, then checked again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from msgspec.structs import replace

from ..errors import CallError
from . import ours
from .checking import Checker, Verdict, worse
from .contestant import Contestant
from .items import ITEMS, build
from .machine import machine
from .peers import Peer
from .report import Item, Report, Row
from .timing import Times, interleaved
from .work import Work

_SMALL = 8
"""By how much each side of a small item is shorter."""


def run(
    items: Sequence[str] = tuple(ITEMS),
    threads: Sequence[int] = (1, 2),
    rounds: int = 15,
    peers: Sequence[Peer] = (),
    small: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Run the benchmark. `CallError` for an item that is none, or for no item, thread or round at all."""
    unknown = [name for name in items if name not in ITEMS]
    if unknown:
        raise CallError(f"no work item named {unknown[0]!r}; there are {', '.join(ITEMS)}")
    if not items or not threads or min(threads) < 1 or rounds < 1:
        raise CallError("the benchmark wants at least one item, thread and round")
    progress("how fast the machine copies")
    here = machine(dict.fromkeys(threads), peers, small)
    described: list[Item] = []
    rows: list[Row] = []
    for name in dict.fromkeys(items):
        progress(f"{name}: pixels and the right answer")
        work = build(name, _SMALL if small else 1)
        checker = Checker(work)
        described.append(Item(name=name, title=work.title, bytes_moved=work.bytes_moved))
        for count in sorted(set(threads)):
            progress(f"{name}: {count} thread{'s' if count > 1 else ''}")
            contestants = ours.contestants(work, count)
            broken: list[Row] = []
            for peer in peers:
                try:
                    contestants += peer.contestants(work, count)
                except Exception as error:  # a peer of another version may lack what is called
                    broken.append(_failed(work, count, peer.name, "", error))
            best = work.bytes_moved / here.copy_bytes_per_second[str(count)]
            rows += [*measure(work, checker, contestants, count, rounds, best), *broken]
    return Report(machine=here, items=tuple(described), rows=tuple(rows), rounds=rounds, small=small)


def measure(
    work: Work, checker: Checker, contestants: Sequence[Contestant], threads: int, rounds: int, roofline: float
) -> list[Row]:
    """Return the contestants' rows, the fastest first. `roofline` is the least time in seconds that it could take."""
    rows: list[Row] = []
    racing: list[tuple[Contestant, Verdict]] = []
    for one in contestants:
        judged = _judge(work, checker, one, threads)
        if isinstance(judged, Row):
            rows.append(judged)
        else:
            racing.append((one, judged))
    times = interleaved([one.run for one, _ in racing], rounds)
    for (one, verdict), taken in zip(racing, times):
        # Once more: an answer that went wrong under way has no time either.
        judged = _judge(work, checker, one, threads)
        rows.append(judged if isinstance(judged, Row) else _timed(work, one, worse(verdict, judged), taken, threads))
    return _ranked(rows, roofline)


def _judge(work: Work, checker: Checker, one: Contestant, threads: int) -> Verdict | Row:
    """Return the verdict on an answer that may be timed, or the row of one that may not."""
    try:
        verdict = checker.judge(np.asarray(one.run()))
    except Exception as error:  # whatever a library raises: the others go on
        return _failed(work, threads, one.library, one.how, error)
    if verdict.answer != "wrong":
        return verdict
    off = verdict.error if math.isfinite(verdict.error) else None
    return _row(work, threads, one)(answer="wrong", error=off, problem=verdict.problem)


def _row(work: Work, threads: int, one: Contestant) -> Callable[..., Row]:
    return partial(Row, item=work.name, threads=threads, library=one.library, how=one.how)


def _failed(work: Work, threads: int, library: str, how: str, error: Exception) -> Row:
    problem = f"{type(error).__name__}: {error}"[:200]
    return Row(item=work.name, threads=threads, library=library, how=how, answer="failed", problem=problem)


def _timed(work: Work, one: Contestant, verdict: Verdict, times: Times, threads: int) -> Row:
    return _row(work, threads, one)(
        answer=verdict.answer,
        error=verdict.error,
        rounds=len(times.cpu),
        cpu_median=statistics.median(times.cpu),
        wall_median=statistics.median(times.wall),
        wall_best=min(times.wall),
        seconds=times.seconds(threads),
    )


def _ranked(rows: list[Row], roofline: float) -> list[Row]:
    """Order the rows and fill in what compares them."""
    timed = sorted((row for row in rows if row.seconds is not None), key=lambda row: row.seconds or 0.0)
    peers = [row for row in timed if row.library != ours.LIBRARY]
    exact = [row for row in peers if row.answer == "exact"]

    def ratio(fastest: list[Row], seconds: float) -> float | None:
        return fastest[0].seconds / seconds if fastest and fastest[0].seconds else None

    ranked = [
        replace(
            row,
            ratio=ratio(peers, row.seconds),
            ratio_exact=ratio(exact, row.seconds),
            roofline=roofline / row.seconds,
        )
        for row in timed
        if row.seconds
    ]
    return ranked + [row for row in rows if row.seconds is None]
