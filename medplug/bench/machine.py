"""The machine under the figures: its name, what it can, how fast it copies, and what is installed."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .. import __version__
from .peers import Peer
from .report import Machine

_WIDEST = ("avx512f", "avx2", "avx", "sse4_2", "sve2", "sve", "asimd")


def machine(threads: Iterable[int], peers: Iterable[Peer], small: bool = False) -> Machine:
    """Describe this machine; copying is measured for each number of threads, on less memory if `small`."""
    told = _told_by_linux()
    flags = (told.get("flags") or told.get("Features") or "").split()
    widest = next((name for name in _WIDEST if name in flags), "")
    return Machine(
        cpu=cpu_name(),
        instructions=f"{platform.machine()} {widest}".strip(),
        cpus=cpus(),
        system=f"{platform.system()} {platform.release().split('-')[0]}",
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        copy_bytes_per_second={str(count): _copying(count, small) for count in threads},
        versions={
            "medplug": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            **{peer.name: peer.version for peer in peers},
        },
    )


def _told_by_linux() -> dict[str, str]:
    """Return the first processor's entry of /proc/cpuinfo, empty elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return {}
    return dict(re.findall(r"^([^\t:]+?)\s*: (.*)$", first, re.MULTILINE))


def cpu_name() -> str:
    """Return what the processor is called."""
    return _told_by_linux().get("model name") or platform.processor() or platform.machine()


def cpus() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _copying(threads: int, small: bool) -> float:
    """Return bytes read and written in a second, the best of seven copies."""
    source = np.ones(1 << (22 if small else 27), np.uint8)
    target = np.ones_like(source)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads)))
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(7):
            begun = time.perf_counter()
            list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))
            best = min(best, time.perf_counter() - begun)
    return 2 * source.size / best
