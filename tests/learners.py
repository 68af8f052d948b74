"""Small models that learn, as a third party would write them, and the data for them."""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Picture
from torch import nn
from torch.nn import functional as F

import medplug
from medplug import Preprocessing, Resize


class SidesOptions(medplug.ModelOptions, frozen=True):
    """`poison` is the step from which the loss is no number, `most` the largest batch that pretended memory takes."""

    width: int = 4
    learning_rate: float = 0.01
    depths: tuple[int, ...] = (1, 1)
    poison: int | None = None
    most: int | None = None


class Sides(medplug.Trainable):
    """Says which side of a picture is bright; it has batch statistics and dropout, whose states must survive."""

    name, version, task = "sides", "1.0", medplug.Task.CLASSIFICATION
    Options = SidesOptions

    def preprocessing(self):
        return Preprocessing(geometry=(Resize((16, 16)),), normalize="fit")

    def augmentation(self):
        return medplug.Augmentation(rotate=(-5, 5), contrast=(0.8, 1.2))

    def recipe(self):
        return medplug.Recipe(epochs=2, batch_size=8, warmup=4, decay=0.25, ema=0.9)

    def build(self):
        width = self.options.width
        return nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(width * 49, len(self.labels)),
        )

    def configure_optimizers(self, network):
        return {"main": torch.optim.AdamW(network.parameters(), lr=self.options.learning_rate)}

    def training_step(self, network, batch, loop):
        loss = self.validation_loss(network, batch)
        if self.options.poison is not None and loop.step + 1 >= self.options.poison:
            loss = loss * float("nan")
        loop.minimise(loss)
        return {"loss": loss}

    def validation_loss(self, network, batch):
        if self.options.most is not None and len(batch) > self.options.most:
            raise torch.cuda.OutOfMemoryError("pretended")
        logits = network(batch.image).float()
        if self.labels.exclusive:
            return F.cross_entropy(logits, batch.target)
        known = ~batch.target.isnan()
        return F.binary_cross_entropy_with_logits(logits[known], batch.target[known])

    def decode(self, output, batch):
        exclusive = self.labels.exclusive
        logits = output["output"].double()
        return [
            medplug.Classification(probabilities=dict(zip(self.labels.names, row)), exclusive=exclusive)
            for row in (logits.softmax(1) if exclusive else logits.sigmoid()).tolist()
        ]


class Stubborn(Sides):
    """Learns nothing, so that its validation never gets better."""

    name = "stubborn"

    def recipe(self):
        return medplug.Recipe(steps=1000, batch_size=8, patience=2, ema=0)

    def configure_optimizers(self, network):
        return {"main": torch.optim.SGD(network.parameters(), lr=0.0)}


class Rigid(Sides):
    """Admits pictures of any size, and can answer one size only."""

    name = "rigid"

    def preprocessing(self):
        return Preprocessing()


class AsStored(Rigid):
    """Takes grey pictures as large as they are."""

    name = "as-stored"

    def build(self):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(64, len(self.labels))
        )

    def contract(self):
        return medplug.InputContract(channels=(1,))


class Duel(medplug.Generative):
    """Two networks, two optimisers, a gradient penalty that needs second derivatives."""

    name, version, task = "duel", "1.0", medplug.Task.GENERATION

    def preprocessing(self):
        return Preprocessing(geometry=(Resize((16, 16)),))

    def recipe(self):
        return medplug.Recipe(steps=6, batch_size=8, warmup=2, decay=0.5, precision="bfloat16")

    def build(self):
        return nn.ModuleDict(
            {
                "maker": nn.Sequential(nn.Linear(4, 256), nn.Sigmoid(), nn.Unflatten(1, (1, 16, 16))),
                "judge": nn.Sequential(nn.Flatten(), nn.Linear(256, 16), nn.SiLU(), nn.Linear(16, 1)),
            }
        )

    def configure_optimizers(self, network):
        return {name: torch.optim.Adam(part.parameters(), lr=0.01) for name, part in network.items()}

    def training_step(self, network, batch, loop):
        made = network["maker"](torch.randn(len(batch), 4, generator=loop.generator))  # its graph outlives the judge
        real, fake = batch.image.clone().requires_grad_(), made.detach().float().requires_grad_()
        with loop.full_precision():
            judged = network["judge"](real), network["judge"](fake)
            penalty = sum(
                torch.autograd.grad(one.sum(), image, create_graph=True)[0].square().sum()
                for one, image in zip(judged, (real, fake))
            )
        judging = F.softplus(judged[1] - judged[0]).mean() + penalty
        loop.minimise(judging, by="judge")
        making = F.softplus(-network["judge"](made).float()).mean()
        loop.minimise(making, by="maker")
        return {"judge": judging, "maker": making}

    def sample(self, network, count, generator):
        return {"image": network["maker"](torch.randn(count, 4, generator=generator))}

    def decode(self, output, batch):
        return [medplug.Generated(image=image.numpy(), seed=0, index=0) for image in output["image"]]


class Rebuilder(medplug.Trainable):
    """Rebuilds pictures through four numbers; what it cannot rebuild is unusual."""

    name, version, task = "rebuilder", "1.0", medplug.Task.ANOMALY

    def preprocessing(self):
        return Preprocessing(geometry=(Resize((16, 16)),))

    def recipe(self):
        return medplug.Recipe(steps=120, batch_size=8, warmup=4, ema=0.8)

    def build(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(256, 4), nn.Linear(4, 256), nn.Unflatten(1, (1, 16, 16)))

    def configure_optimizers(self, network):
        return {"main": torch.optim.Adam(network.parameters(), lr=0.01)}

    def training_step(self, network, batch, loop):
        loss = self.validation_loss(network, batch)
        loop.minimise(loss)
        return {"loss": loss}

    def validation_loss(self, network, batch):
        return F.mse_loss(network(batch.image).float(), batch.image)

    def forward(self, network, batch):
        return {"score": (network(batch.image) - batch.image).square().mean((1, 2, 3))}

    def decode(self, output, batch):
        return [medplug.Anomaly(score=score) for score in output["score"].tolist()]


class Knowing(Rebuilder):
    """Keeps, of train and validation: how many rows it was shown, their mean score, whether it could still learn."""

    name = "knowing"

    def augmentation(self):
        return medplug.Augmentation(brightness=(0.3, 0.3))

    def build(self):
        network = super().build()
        network.register_buffer("known", torch.zeros(2, 3))
        return network

    def after_training(self, network, train, validation):
        for kept, rows in zip(network.known, (train, validation)):
            scores = torch.cat([self.forward(network, batch)["score"] for batch in rows])
            kept[:] = torch.tensor([len(scores), scores.mean(), network.training or scores.requires_grad])


class Measurer(Rebuilder):
    """Regression on any number of columns."""

    name, task = "measurer", medplug.Task.REGRESSION

    def build(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(256, len(self.labels)))

    def validation_loss(self, network, batch):
        return F.mse_loss(network(batch.image).float(), batch.target)

    def forward(self, network, batch):
        return {"values": network(batch.image)}

    def decode(self, output, batch):
        return [medplug.Regression(values=dict(zip(self.labels.names, row))) for row in output["values"].tolist()]


class Outliner(Rebuilder):
    """Segmentation by one convolution."""

    name, task = "outliner", medplug.Task.SEGMENTATION

    def build(self):
        return nn.Conv2d(1, 1 + len(self.labels), 1)

    def validation_loss(self, network, batch):
        return F.cross_entropy(network(batch.image).float(), batch.mask)

    def forward(self, network, batch):
        return {"probabilities": network(batch.image).softmax(1)}

    def decode(self, output, batch):
        return [
            medplug.Segmentation(labels=self.labels.names, probabilities=one.numpy()) for one in output["probabilities"]
        ]


@medplug.hookimpl
def medplug_register_models():
    return [Sides, Stubborn, Rigid, AsStored, Duel, Rebuilder, Knowing, Measurer, Outliner]


def install(folder: Path) -> Path:
    """Write the metadata of a distribution that offers these models; on the path, it is installed."""
    metadata = folder / "learners-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: learners\nVersion: 1.0\nRequires-Dist: medplug\n")
    (metadata / "entry_points.txt").write_text("[medplug]\nlearners = learners\n")
    return folder


def pixels(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise [N, 16, 16] uint8 with a bright left (label 0) or right side (label 1), and the labels."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 120, (count, 16, 16))
    labels = np.arange(count) % 2
    for image, label in zip(images, labels):
        image[:, 8 * label : 8 * label + 8] += 80
    return images.astype(np.uint8), labels.astype(np.uint8)


def write_npz(path: Path, train: int = 48, val: int = 16, test: int = 8) -> Path:
    """The same in MedMNIST's layout."""
    arrays = {}
    for seed, (split, count) in enumerate({"train": train, "val": val, "test": test}.items()):
        images, labels = pixels(count, seed)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels[:, None]}
    np.savez(path, **arrays)
    return path


def write_csv(folder: Path, rows: list[dict[str, object]], name: str = "table.csv") -> Path:
    """A table, with a picture for each row; a row may bring its own `pixels` [rows, columns]."""
    folder.mkdir(parents=True, exist_ok=True)
    images, _ = pixels(len(rows))
    columns = ["file", *dict.fromkeys(key for row in rows for key in row if key != "pixels")]
    with (folder / name).open("w", newline="") as stream:
        table = csv.DictWriter(stream, columns, restval="")
        table.writeheader()
        for index, row in enumerate(rows):
            Picture.fromarray(np.asarray(row.get("pixels", images[index]), np.uint8)).save(folder / f"{index}.png")
            table.writerow({"file": f"{index}.png", **{key: row[key] for key in row if key != "pixels"}})
    return folder / name
