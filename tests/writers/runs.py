"""Real runs of small models, for the tests of every writer."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image as Picture
from small_models import Above, Brightness, Halves, Loudest, Slices
from torch import nn

import medplug
from medplug.session import Answer, Session

__all__ = [
    "Above",
    "Brightness",
    "Halves",
    "Loudest",
    "Rings",
    "Slices",
    "answers",
    "mixed_folder",
    "picture",
    "write",
]

torch.set_num_threads(1)


class Rings(medplug.model.Generative):
    """Draws a soft disc whose size comes from the noise: the smallest generator there is."""

    name, version, task = "rings", "1.0", medplug.Task.GENERATION

    def build(self):
        return nn.Identity()

    def configure_optimizers(self, network):
        return {}

    def training_step(self, network, batch, loop):
        return {}

    def sample(self, network, count, generator):
        size = torch.rand(count, 1, 1, 1, generator=generator) * 10 + 4
        rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
        distance = ((rows - 13.5) ** 2 + (columns - 13.5) ** 2).sqrt()
        return {"output": torch.sigmoid(size - distance)}

    def decode(self, output, batch):
        return [medplug.Generated(image=image.numpy(), seed=0, index=0) for image in output["output"]]


def picture(path: Path, seed: int = 0, size=(40, 60)) -> Path:
    """A smooth grey PNG."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = np.sin(rows / 7 + seed) + np.cos(columns / (9 + seed))
    Picture.fromarray(((waves + 2) * 60).astype(np.uint8)).save(path)
    return path


def mixed_folder(folder: Path, pictures: int = 3) -> Path:
    """Pictures, a truncated picture and a text file."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(pictures):
        whole = picture(folder / f"{seed:04d}.png", seed)
    (folder / "broken.png").write_bytes(whole.read_bytes()[:60])
    (folder / "notes.txt").write_text("no image")
    return folder


def answers(model, source, **options) -> tuple[Session, list[Answer]]:
    """A session of `model` and its answers to `source`."""
    session = Session(model, device="cpu", workers=1)
    if isinstance(source, int):
        return session, [Answer(None, result) for result in session.generate(source, seed=7)]
    return session, list(session.answers(source, **options))


def write(kind, folder: Path, session: Session, found, **options) -> None:
    """Run one writer over answers."""
    with kind(folder, session.loaded, **options) as writer:
        for answer in found:
            writer.write(answer)
