"""What the tests of the PACS side share: an Orthanc, and models in model folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pacs.orthanc import Orthanc, cleared, needs_orthanc
from pacs.parts import install_plugin


@pytest.fixture(scope="session")
def running_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    needs_orthanc()
    made = Orthanc(tmp_path_factory.mktemp("orthanc"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def orthanc(running_orthanc: Orthanc) -> Orthanc:
    """An Orthanc that keeps nothing yet."""
    return cleared(running_orthanc)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installed plugin; the folders of its models `bright` and `loud` lie beside it."""
    return install_plugin(tmp_path_factory.mktemp("models"))
