"""A real Orthanc on loopback, and studies to send to it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path("/usr/share/orthanc/plugins")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_until(true, seconds: float = 20, what: str = "it"):
    """Poll until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"{what} did not come about in {seconds} s"
        time.sleep(0.05)
    return found


@dataclass
class Orthanc:
    """An Orthanc of our own, in a folder of its own; its configuration may be added to before it starts."""

    folder: Path
    dicom: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def dimse_url(self) -> str:
        return f"dimse://ORTHANC@127.0.0.1:{self.dicom}"

    @property
    def web_url(self) -> str:
        return f"dicomweb://127.0.0.1:{self.http}/dicom-web"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "Name": "test",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "HttpPort": self.http,
            "DicomPort": self.dicom,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowEcho": False,
            "DicomModalities": {"caller": {"AET": "MEDPLUG", "Host": "127.0.0.1", "Port": 1, "AllowGet": True}},
            "StableAge": 1,
            "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
            "DicomWeb": {"Enable": True},
            **self.settings,
        }
        file = self.folder / "orthanc.json"
        file.write_text(json.dumps(settings))
        log = (self.folder / "orthanc.log").open("ab")
        self.process = subprocess.Popen(
            ["Orthanc", str(file)], stdout=log, stderr=log, env={**os.environ, **self.environment}
        )
        log.close()
        wait_until(self.answers, what="Orthanc")

    def answers(self) -> bool:
        assert self.process is None or self.process.poll() is None, (self.folder / "orthanc.log").read_text()
        try:
            return bool(self.get("/system"))
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=20) as answer:
            return json.load(answer)

    def classes(self) -> list[str]:
        """The SOP classes of all instances that it keeps, sorted."""
        return sorted(map(self.sop_class, self.get("/instances")))

    def sop_class(self, instance: str) -> str:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.http}/instances/{instance}/metadata/SopClassUid", timeout=20
        ) as answer:
            return answer.read().decode()


def needs_orthanc() -> None:
    """Skip the test where there is no Orthanc."""
    if shutil.which("Orthanc") is None or not (PLUGINS / "libOrthancDicomWeb.so").exists():
        pytest.skip("Orthanc with its DICOMweb plugin is not installed: apt-get install orthanc orthanc-dicomweb")


def cleared(orthanc: Orthanc) -> Orthanc:
    """The same without an instance."""
    for study in orthanc.get("/studies"):
        request = urllib.request.Request(f"http://127.0.0.1:{orthanc.http}/studies/{study}", method="DELETE")
        urllib.request.urlopen(request, timeout=20).close()
    return orthanc
