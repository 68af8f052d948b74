"""The libraries that are compared with, each in the way its own users would do the same work.

All keep the order of the arithmetic: a window is no linear map, so it stays on its side of the interpolation. Where a
library has no antialiasing filter under a rotation, its users shrink first and turn what they get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from ...errors import CallError
from ..contestant import Contestant
from ..work import Work


@dataclass(frozen=True)
class Peer:
    """A library: the name of its module, the distributions that bring it, and our module that calls it."""

    name: str
    module: str
    distributions: tuple[str, ...]
    home: str

    @property
    def installed(self) -> bool:
        """Whether it can be imported; it is not imported to find out."""
        return find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """The version of the distribution that is installed; "unknown" where none of those names is."""
        for name in self.distributions:
            try:
                return version(name)
            except PackageNotFoundError:
                continue
        return "unknown"

    def contestants(self, work: Work, threads: int) -> list[Contestant]:
        """Return the library's ways of doing an item with so many threads; none where it cannot."""
        found: list[Contestant] = import_module(f"{__name__}.{self.home}").contestants(work, threads)
        return found


PEERS = (
    Peer(
        "opencv",
        "cv2",
        ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
        "with_opencv",
    ),
    Peer("torch", "torch", ("torch",), "with_torch"),
    Peer("pillow", "PIL", ("pillow",), "with_pillow"),
    Peer("simpleitk", "SimpleITK", ("SimpleITK",), "with_simpleitk"),
    Peer("scipy", "scipy", ("scipy",), "with_scipy"),
    Peer("monai", "monai", ("monai",), "with_monai"),
)


def choose(names: Sequence[str] | None = None) -> tuple[Peer, ...]:
    """Return the peers of these names, or all that are installed. `CallError` for one that is unknown or not there."""
    if names is None:
        return tuple(peer for peer in PEERS if peer.installed)
    known = {peer.name: peer for peer in PEERS}
    for name in names:
        if name not in known:
            raise CallError(f"no peer named {name!r}; there are {', '.join(known)}")
        if not known[name].installed:
            raise CallError(f"{name} is not installed: pip install {known[name].distributions[0]}")
    return tuple(known[name] for name in names)
