"""How fast images flow from files through a network: each stage by itself, then all of them together."""

from __future__ import annotations

import datetime
import io
import itertools
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid
from torch import nn

from .. import batching, devices
from ..errors import CallError
from ..geometry_steps import Resize
from ..model import Batch
from ..preprocessing import Full, Normalize, Preprocessing
from ..result import Rejected
from .resnet18 import resnet18

_SECONDS = 3.0
"""How long the stages that need no files are measured."""

_PICTURES = 8  # different ones among the files that are made
_HELD = 4  # batches in memory, which come again and again

Progress = Callable[[str], None]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage did: `cpu_seconds` are those of all threads, for one image."""

    name: str
    images_per_second: float
    cpu_seconds: float


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `limit` is what the stages allow: the slowest of them, or what the cores can do of all of them at once.

    `date` is the day of it, YYYY-MM-DD. `resident` holds the process's memory in bytes during the last stage, after its
    first tenth and at its end.
    """

    date: str
    device: str
    torch: str
    cpus: int
    workers: int
    size: int
    batch_size: int
    precision: str
    images: int
    stages: tuple[Stage, ...]
    limit: float
    resident: tuple[int, int] | None

    def stage(self, name: str) -> Stage | None:
        """The stage of that name, None where it was not measured."""
        return next((stage for stage in self.stages if stage.name == name), None)


PREPARED, MODEL, HOST, WHOLE = "files", "model", "model, from memory", "model, from files"


@dataclass(frozen=True)
class _Measuring:
    source: Path
    recipe: Preprocessing
    batch_size: int
    device: torch.device
    workers: int
    precision: torch.dtype
    refused: list[str]

    def prepared(self, device: str = "cpu") -> Generator[Batch, None, None]:
        return batching.batches(
            self.source, self.recipe, self.batch_size, device=device, workers=self.workers, on_rejected=self._refused
        )

    def _refused(self, rejected: Rejected) -> None:
        self.refused.append(rejected.outcome.reason)

    def network(self) -> nn.Module:
        network = resnet18(channels=1).eval().to(self.device, self.precision)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # torch's stub

    def answer(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        image = batch.image.to(self.precision, memory_format=torch.channels_last)
        answered: torch.Tensor = network(image)
        return answered

    def timed(self, name: str, batches: Iterable[Batch], work: Callable[[Batch], object]) -> Stage:
        """Count and time the images of `batches`; on CUDA until the last answer is there."""
        images = 0
        begun, cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            for batch in batches:
                work(batch)
                images += len(batch)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - begun
        cpu = time.process_time() - cpu
        return Stage(name=name, images_per_second=images / seconds, cpu_seconds=cpu / max(images, 1))


def run(
    source: Path,
    *,
    size: int = 224,
    batch_size: int = 64,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress = lambda text: None,
) -> Flow:
    """Measure the flow of the files of `source` through ResNet-18, in bfloat16 on CUDA and in float32 on a CPU.

    Raises `CallError` for a device that is not there, and where `source` holds nothing that can be read.
    """
    chosen = devices.choose(device)
    cuda = chosen.type == "cuda"
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    recipe = Preprocessing(values=Full(), geometry=(Resize((size, size)),), normalize=Normalize((0.5,), (0.25,)))
    refused: list[str] = []
    precision = torch.bfloat16 if cuda else torch.float32
    measuring = _Measuring(source, recipe, batch_size, chosen, workers or cpus, precision, refused)
    progress("reading the files once")
    count = sum(len(batch) for batch in measuring.prepared())
    if not count:
        raise CallError(f"{source} holds nothing that can be read" + (f": {refused[0]}" if refused else ""))
    progress("preparing the files")
    stages = [measuring.timed(PREPARED, measuring.prepared(), lambda batch: None)]
    network = measuring.network()
    held = [_noise(batch_size, size, cuda) for _ in range(_HELD)]
    progress("the model alone")
    ready = Batch(image=held[0].image.to(chosen, precision, memory_format=torch.channels_last))

    def answer(batch: Batch) -> torch.Tensor:
        return measuring.answer(network, batch)

    measuring.timed(MODEL, itertools.repeat(ready, 3), answer)  # the first calls choose their algorithms
    stages.append(measuring.timed(MODEL, _for_a_while(itertools.repeat(ready)), answer))
    if cuda:
        progress("the model, from memory")
        endless = devices.carried(_for_a_while(itertools.cycle(held)), chosen)
        stages.append(measuring.timed(HOST, endless, answer))
    progress("the model, from files")
    sizes: list[int] = []
    through = _watched(measuring.prepared(str(chosen)), sizes)
    stages.append(measuring.timed(WHOLE, through, answer))
    return Flow(
        date=datetime.date.today().isoformat(),
        device=torch.cuda.get_device_name(chosen) if cuda else "cpu",
        torch=str(torch.__version__),
        cpus=cpus,
        workers=measuring.workers,
        size=size,
        batch_size=batch_size,
        precision=str(precision).removeprefix("torch."),
        images=count,
        stages=tuple(stages),
        limit=limit(stages[0], stages[1], cpus),
        resident=(sizes[len(sizes) // 10], sizes[-1]) if sizes else None,
    )


def limit(files: Stage, model: Stage, cpus: int) -> float:
    """Images a second that two stages allow, one beside the other on `cpus` cores."""
    return min(files.images_per_second, model.images_per_second, cpus / (files.cpu_seconds + model.cpu_seconds))


def describe(flow: Flow) -> list[str]:
    """Say where the figures come from, and what the memory did."""
    lines = [
        f"{flow.device}, torch {flow.torch}, {flow.cpus} CPUs, {flow.workers} threads that prepare",
        f"{flow.images} files to {flow.size} x {flow.size}, batches of {flow.batch_size}; "
        f"ResNet-18 in {flow.precision}",
    ]
    if flow.resident is not None:
        early, late = (size / 2**20 for size in flow.resident)
        lines.append(f"memory {early:.0f} MiB after the first tenth of the files, {late - early:+.0f} MiB at the end")
    return lines


COLUMNS = ("stage", "images/s", "CPU ms an image", "share")


def cells(flow: Flow) -> list[tuple[str, ...]]:
    """The rows of a table, in the order of `COLUMNS`."""
    model = flow.stage(MODEL)
    assert model is not None
    rows: list[tuple[str, ...]] = []
    for stage in flow.stages:
        share = ""
        if stage.name in (HOST, WHOLE):
            share = f"{stage.images_per_second / model.images_per_second:.1%} of the model alone"
        if stage.name == WHOLE:
            share += f", {stage.images_per_second / flow.limit:.1%} of what the stages allow"
        rows.append((stage.name, f"{stage.images_per_second:.0f}", f"{stage.cpu_seconds * 1e3:.2f}", share))
    return rows


def markdown(flow: Flow) -> str:
    """Return what the command prints, for the documentation, with the day."""
    lines = [f"- {flow.date}", *(f"- {line}" for line in describe(flow)), "", f"| {' | '.join(COLUMNS)} |"]
    lines.append(f"|{'|'.join('---' for _ in COLUMNS)}|")
    lines += [f"| {' | '.join(row)} |" for row in cells(flow)]
    return "\n".join(lines)


def make_files(folder: Path, count: int, side: int = 1024) -> None:
    """Write `count` radiographs of `side` x `side`, 12 bits in 16, into `folder`: a few, under many names."""
    rng = np.random.default_rng(0)
    for number in range(min(count, _PICTURES)):
        coarse = rng.integers(0, 4096, (side // 16 + 1, side // 16 + 1)).astype(np.uint16)
        pixels = np.repeat(np.repeat(coarse, 16, 0), 16, 1)[:side, :side] ^ rng.integers(0, 16, (side, side), np.uint16)
        (folder / f"{number:05d}.dcm").write_bytes(_radiograph(pixels))
    for number in range(_PICTURES, count):
        first, another = folder / f"{number % _PICTURES:05d}.dcm", folder / f"{number:05d}.dcm"
        try:
            os.link(first, another)
        except OSError:  # not every file system has names for one file, and none has any number
            shutil.copyfile(first, another)


def _radiograph(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "CR", "CHEST", "PA"
    dataset.PatientName, dataset.PatientID = "SYNTHETIC^BENCHMARK", "SYNTHETIC"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelSpacing = [0.2, 0.2]
    dataset.PixelData = pixels.astype("<u2").tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _noise(batch_size: int, size: int, pinned: bool) -> Batch:
    return Batch(image=torch.randn(batch_size, 1, size, size, pin_memory=pinned))


def _for_a_while(batches: Iterable[Batch]) -> Generator[Batch, None, None]:
    """The first of `batches`, for `_SECONDS`."""
    until = time.perf_counter() + _SECONDS
    for batch in batches:
        yield batch
        if time.perf_counter() > until:
            return


def _watched(batches: Iterable[Batch], sizes: list[int]) -> Iterator[Batch]:
    """`batches`, noting the memory of the process at each."""
    statistics = Path("/proc/self/statm")
    for batch in batches:
        if statistics.exists():
            sizes.append(int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        yield batch
