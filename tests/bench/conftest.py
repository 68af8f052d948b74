"""A benchmark run of small images, shared: how its results are written is what the tests look at."""

import pytest

from medplug.bench import main
from medplug.bench.peers import choose
from medplug.bench.report import Report


@pytest.fixture(scope="session")
def report() -> Report:
    peers = choose(["torch", "pillow"])
    return main.run(["radiograph-512", "ct", "mask"], threads=[2, 1], rounds=2, peers=peers, small=True)
