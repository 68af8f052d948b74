"""The flow from files through a network: what is measured adds up, and what cannot be read is said."""

import json
import os

import pytest
import torch
from click.testing import CliRunner

from medplug import CallError, sources
from medplug.bench import stream
from medplug.bench.resnet18 import resnet18
from medplug.cli import cli

FEW = ["bench", "stream", "--images", "12", "--side", "64", "--size", "32", "--batch", "5", "--device", "cpu"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(stream, "_SECONDS", 0.05)


def test_resnet18_is_the_papers():
    """Table 1 of He et al., 2016: 11.7 million parameters, and 7 x 7 of 512 channels before the mean."""
    network = resnet18().eval()

    assert sum(one.numel() for one in network.parameters()) == 11_689_512
    assert network[:-3](torch.zeros(1, 3, 224, 224)).shape == (1, 512, 7, 7)
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 1000)


def test_the_files_are_radiographs_of_the_size_asked_for(tmp_path):
    stream.make_files(tmp_path, 11, 48)

    cases = list(sources.read(tmp_path))

    assert len(cases) == 11
    for case in cases:
        assert (case.image.shape, case.image.bits, case.image.modality) == ((48, 48), 12, "CR")
    assert cases[0].image.read().max() <= 4095
    assert (cases[0].image.read() == cases[8].image.read()).all()
    assert (cases[0].image.read() != cases[1].image.read()).any()


def test_every_stage_is_measured(tmp_path, quick):
    stream.make_files(tmp_path, 12, 64)
    said = []

    flow = stream.run(tmp_path, size=32, batch_size=5, device="cpu", workers=2, progress=said.append)

    assert [stage.name for stage in flow.stages] == [stream.PREPARED, stream.MODEL, stream.WHOLE]
    assert all(stage.images_per_second > 0 and stage.cpu_seconds > 0 for stage in flow.stages)
    assert (flow.images, flow.device, flow.precision, flow.workers) == (12, "cpu", "float32", 2)
    assert flow.limit == stream.limit(*flow.stages[:2], flow.cpus)
    assert flow.resident is None or all(2**24 < size < 2**36 for size in flow.resident)
    assert len(said) == 4


@pytest.mark.parametrize(
    ("files", "model", "cpus", "expected"),
    [((100, 0.01), (300, 0.001), 16, 100), ((500, 0.01), (300, 0.001), 16, 300), ((90, 0.02), (80, 0.03), 2, 40)],
    ids=["the files", "the model", "the cores"],
)
def test_the_slowest_is_the_limit(files, model, cpus, expected):
    first, second = (stream.Stage(name="", images_per_second=rate, cpu_seconds=cpu) for rate, cpu in (files, model))

    assert stream.limit(first, second, cpus) == pytest.approx(expected)


def test_files_are_copied_where_they_cannot_be_linked(tmp_path, monkeypatch):
    def link(first, another):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", link)
    stream.make_files(tmp_path, 10, 32)

    assert (tmp_path / "00009.dcm").read_bytes() == (tmp_path / "00001.dcm").read_bytes()


def test_a_folder_without_images_is_no_source(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")

    with pytest.raises(CallError, match=r"holds nothing that can be read: .*notes\.txt: holds no image"):
        stream.run(tmp_path, device="cpu")


def test_the_command_prints_a_table_and_writes_it(tmp_path, quick):
    file = tmp_path / "flow.json"

    ran = CliRunner().invoke(cli, [*FEW, "--json", str(file)])

    assert ran.exit_code == 0, ran.output
    assert "12 files to 32 x 32, batches of 5; ResNet-18 in float32" in ran.output
    assert "of what the stages allow" in ran.output
    assert [stage["name"] for stage in json.loads(file.read_text())["stages"]] == [
        stream.PREPARED,
        stream.MODEL,
        stream.WHOLE,
    ]


def test_a_source_of_ones_own_is_measured(tmp_path, quick):
    stream.make_files(tmp_path, 3, 64)

    ran = CliRunner().invoke(cli, ["bench", "stream", str(tmp_path), *FEW[2:]])

    assert ran.exit_code == 0, ran.output
    assert "3 files to 32 x 32" in ran.output


def test_a_report_without_a_folder_is_refused_before_the_work(tmp_path):
    ran = CliRunner().invoke(cli, [*FEW, "--json", str(tmp_path / "none" / "flow.json")])

    assert ran.exit_code == 2
    assert "is no folder" in ran.output
