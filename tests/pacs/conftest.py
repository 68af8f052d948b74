"""What the tests of the PACS side share: an Orthanc, and models in model folders."""

import subprocess
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


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Path:
    """An authority, `ca`, and what it has signed for 127.0.0.1, `me`; a stranger has signed for himself."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True, timeout=60)

    for name in ("ca", "stranger"):
        openssl(f"req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}")
    openssl("req -newkey rsa:2048 -nodes -keyout me.key -out me.csr -subj /CN=127.0.0.1")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    openssl("x509 -req -in me.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out me.pem")
    return folder
