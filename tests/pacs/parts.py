"""A listener in a process of its own, the models that it runs, and studies to send to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pacs.orthanc import free_port, wait_until
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

MEDPLUG = [sys.executable, "-P", "-c", "from medplug.cli import main; main()"]

PLUGIN = '''
import os
from pathlib import Path

import torch
from torch import nn

import medplug


class Bright(medplug.Model):
    """Segments what is bright. Fails where a file `poison` lies in the state folder."""

    name, version, task = "bright", "1.0", medplug.Task.SEGMENTATION

    def preprocessing(self):
        return medplug.Preprocessing(values=medplug.Window(center=300, width=200))

    def build(self):
        return nn.Identity()

    def decode(self, output, batch):
        if Path(os.environ.get("MEDPLUG_STATE", "nowhere"), "poison").exists():
            raise ValueError("poisoned")
        above = output["output"][:, 0]
        stacked = torch.stack([1 - above, above], dim=1)
        return [medplug.Segmentation(labels=("bone",), probabilities=one) for one in stacked.float().numpy()]


class Loud(medplug.Model):
    """Anomaly: the image itself as the map."""

    name, version, task = "loud", "1.0", medplug.Task.ANOMALY

    def preprocessing(self):
        return medplug.Preprocessing(values=medplug.Window(center=300, width=2000))

    def build(self):
        return nn.Identity()

    def decode(self, output, batch):
        return [medplug.Anomaly(score=float(one.max()), map=one[0].numpy()) for one in output["output"]]


@medplug.hookimpl
def medplug_register_models():
    return [Bright, Loud]

'''

SAVE = """
import sys
from medplug import golden, model_folder
from medplug.plugins import discover
for name in ("bright", "loud"):
    offer = discover(only="medplug-pacs-test").find(f"medplug-pacs-test:{name}")
    loaded = model_folder.fresh(offer.model())
    plugin = model_folder.describe_plugin(loaded.model, offer.distribution, offer.distribution_version)
    golden.save(f"{sys.argv[1]}/{name}", loaded, plugin)
"""


def install_plugin(folder: Path) -> Path:
    """A distribution with the models `bright` and `loud`, as pip would have installed it, and their model folders."""
    site = folder / "site"
    site.mkdir(parents=True)
    (site / "medplug_pacs_test.py").write_text(PLUGIN)
    about = site / "medplug_pacs_test-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: medplug-pacs-test\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[medplug]\npacs_test = medplug_pacs_test\n")
    ran = subprocess.run(
        [sys.executable, "-c", SAVE, str(folder)], env=environment(site), capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return site


def environment(site: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}


def study(folder: Path, *, slices: int = 1, uid: str | None = None, name: str = "CT_small.dcm") -> str:
    """Write a study of its own and return its Study Instance UID."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = dcmread(get_testdata_file(name))
    dataset.StudyInstanceUID = uid or generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    x, y, z = dataset.ImagePositionPatient
    for number in range(slices):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.InstanceNumber = number + 1
        dataset.ImagePositionPatient = [x, y, z + 5 * number]
        dataset.save_as(folder / f"{number:04d}.dcm")
    return str(dataset.StudyInstanceUID)


@dataclass
class Listener:
    """`medplug listen` with a configuration of the test's own."""

    folder: Path
    site: Path
    send_to: str
    models: str
    more: str = ""
    quiet_seconds: float = 0.5
    calling: str = '["ORTHANC", "MEDPLUG"]'
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"dimse://LISTENER@127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.folder / "listen.toml"

    @property
    def log(self) -> str:
        return (self.folder / "listen.log").read_text()

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(f'''
ae_title = "LISTENER"
port = {self.port}
calling = {self.calling}
state = "state"
quiet_seconds = {self.quiet_seconds}
send_to = "{self.send_to}"
{self.models}
[retry]
first_seconds = 0.2
longest_seconds = 1
{self.more}
''')
        return self.config

    def start(self, **how) -> None:
        self.write()
        with (self.folder / "listen.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*MEDPLUG, "listen", str(self.config)], stdout=log, stderr=log, env=environment(self.site), **how
            )
        wait_until(self.is_up, 30, "the listener")

    def is_up(self) -> bool:
        import socket

        assert self.process is not None
        assert self.process.poll() is None, self.log
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        if self.process is None or self.process.poll() is not None:
            return -1
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MEDPLUG, "listen", str(self.config), *arguments],
            env=environment(self.site),
            capture_output=True,
            text=True,
            timeout=60,
        )


class Archive:
    """A storage SCP in this process that notes what it gets, and answers with `status` or breaks off."""

    def __init__(self) -> None:
        from pynetdicom import AE, AllStoragePresentationContexts, evt

        self.port, self.status, self.got = free_port(), 0x0000, []
        self.breaks_off: set[str] = set()
        self._entity = AE("ARCHIVE")
        self._entity.supported_contexts = AllStoragePresentationContexts
        self._handlers = [(evt.EVT_C_STORE, self._stored)]
        self._server = None

    def _stored(self, event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid in self.breaks_off:
            event.assoc.abort()
        else:
            self.got.append(uid)
        return self.status

    @property
    def url(self) -> str:
        return f"dimse://ARCHIVE@127.0.0.1:{self.port}"

    @property
    def associations(self) -> list:
        return self._server.active_associations

    def start(self) -> None:
        self._server = self._entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=self._handlers)

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None


def choice(site: Path, **models: list[str]) -> str:
    """The part of a configuration that lists models and what each writes."""
    return "".join(f'[[models]]\npath = "{site.parent / model}"\nwrite = {write}\n' for model, write in models.items())
