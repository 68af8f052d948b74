"""The command line as a shell sees it: exit codes, one line a file, errors that name the way out."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image as Picture
from pydicom.data import get_testdata_file

import medplug
from medplug import golden, model_folder
from medplug.plugins import discover


def medplug_command(*arguments, cwd, **how):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-c", "from medplug.cli import main; main()", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        **how,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder of an untrained `cnn` for chests."""
    path = tmp_path_factory.mktemp("models") / "cnn"
    offer = discover().find("cnn")
    made = offer.model(
        offer.model.Options(size=32, width=8, depth=(1, 1)), medplug.Labels(names=("normal", "pneumonia"))
    )
    contract = medplug.InputContract(
        modality=medplug.Constraint(("CR", "DX")), body_part=medplug.Constraint(("CHEST",))
    )
    loaded = model_folder.fresh(made)
    from dataclasses import replace

    plugin = model_folder.describe_plugin(made, offer.distribution, offer.distribution_version)
    golden.save(path, replace(loaded, contract=contract), plugin)
    return path


@pytest.fixture
def folder(tmp_path):
    """What a folder from a PACS may hold."""
    study = tmp_path / "study"
    study.mkdir()
    Picture.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30)).astype(np.uint8)).save(study / "a.png")
    ct = Path(get_testdata_file("CT_small.dcm")).read_bytes()
    (study / "ct.dcm").write_bytes(ct)
    (study / "half.dcm").write_bytes(ct[: len(ct) // 2])
    (study / "notes.txt").write_text("not an image")
    return study


def test_what_is_not_selected_is_skipped_and_a_wrong_selection_is_exit_code_2(model, folder, tmp_path):
    done = medplug_command("run", model, folder, "--dry-run", "--select", "modality=CR", cwd=tmp_path)
    wrong = medplug_command("run", model, folder, "--dry-run", "--select", "organ=LUNG", cwd=tmp_path)

    assert "ct.dcm: skipped: " in done.stdout
    assert "is left out: its modality is CT; CR is selected" in done.stdout
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "'organ=LUNG' selects nothing: write NAME=VALUE; the names are modality, body_part, view" in wrong.stderr


def test_on_a_terminal_progress_is_shown_there_and_results_still_go_into_the_pipe(model, folder, tmp_path):
    import os
    import pty

    terminal, theirs = pty.openpty()
    command = [sys.executable, "-P", "-c", "from medplug.cli import main; main()", "run", model, folder, "--dry-run"]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, timeout=120, check=False)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # all has been read, and nobody writes any more
        pass
    os.close(terminal)

    assert len(done.stdout.splitlines()) == 4
    assert b"reading" in shown
    assert b"4/4" in shown
    assert b"ct.dcm" not in shown


def test_every_file_appears_and_a_refusal_is_exit_code_1(model, folder, tmp_path):
    done = medplug_command("run", model, folder, "-o", "out", cwd=tmp_path)

    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert any("ct.dcm: refused (modality): modality is CT" in line for line in lines)
    assert any("a.png" in line and "[unverified: modality, body_part]" in line for line in lines)
    assert any("half.dcm: refused (unreadable): holds " in line for line in lines)  # the file is named once
    assert any("notes.txt: skipped" in line for line in lines)
    assert "1 answered, 2 refused, 1 skipped" in done.stderr


def test_only_answers_and_skipped_files_are_exit_code_0(model, folder, tmp_path):
    done = medplug_command("run", model, folder / "a.png", "-o", "out", "--explain", "--json", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prediction"]["type"] == "classification"
    [line] = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    schema = json.loads(medplug_command("schema", "result", cwd=tmp_path).stdout)
    jsonschema.validate(json.loads(line), schema)
    assert json.loads(line)["explanation"]["method"] == "grad-cam"


def test_a_reader_that_goes_away_costs_no_result(model, folder, tmp_path):
    command = (
        f"'{sys.executable}' -P -c 'from medplug.cli import main; main()' run '{model}' '{folder}' -o out | head -n 1"
    )
    subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, timeout=120, check=True)

    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("how", [("-o", "out"), ("--dry-run",)])
def test_where_nothing_is_found_to_answer_the_exit_code_says_so(model, tmp_path, how):
    (tmp_path / "empty").mkdir()

    done = medplug_command("run", model, "empty", *how, cwd=tmp_path)

    assert done.returncode == 1
    assert "empty: skipped: is an empty folder" in done.stdout


def test_a_dry_run_writes_nothing(model, folder, tmp_path):
    done = medplug_command("run", model, folder, "--dry-run", cwd=tmp_path)

    assert "a.png: would be analysed at 32 x 32  [unverified: modality, body_part]" in done.stdout
    assert "1 would be analysed, 2 refused, 1 skipped; nothing was written" in done.stderr
    assert done.returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nowhere", "a.png", "-o", "out"), "nowhere does not exist"),
        (("run", "MODEL", "a.png"), "-o DIR is needed"),
        (("run", "MODEL", "a.png", "-o", "/proc/out"), "/proc/out cannot be written ("),
        (("train", "cnn", "nowhere.csv", "-o", "/proc/out"), "): name another folder with -o"),
        (("evaluate", "MODEL", "-o", "/proc/out"), "/proc/out cannot be written ("),
        (("train", "cnn", "nowhere.csv", "-o", "MODEL/model.json/x"), "model.json is a file; name a folder"),
        (("run", "MODEL", "a.png", "-o", "out", "--write", "pdf"), "no writer named 'pdf'"),
        (
            ("run", "MODEL", "a.png", "-o", "out", "--write", "png"),
            "the writer 'png' has no form for what cnn answers (classification): use ",
        ),
        (("run", "MODEL", "a.png", "--dry-run", "--write", "pdf"), "for cnn there are "),
        (("run", "MODEL", "a.png", "--dry-run", "--explain", "--label", "cat"), "no label 'cat'"),
        (("run", "cnn", "a.png", "-o", "out"), "train it first, with `medplug train cnn DATA -o MODEL`"),
        (("run", "MODEL", "a.png", "-o", "out", "--label", "normal"), "--label goes with --explain"),
        (("run", "MODEL", "a.png", "-o", "out", "--device", "abacus"), "no device named 'abacus'"),
        (("generate", "MODEL", "-o", "out", "--write", "json"), "does not generate images"),
        (("train", "cnm", "data.csv", "-o", "m"), "no model named 'cnm'"),
        (("train", "cnn", "nowhere.csv", "-o", "m"), "nowhere.csv does not exist"),
        (("train", "cnn", "nowhere.csv", "-o", "m", "--budget", "soon"), "write 90s, 10m or 1.5h"),
        (("evaluate", "nowhere"), "nowhere does not exist"),
        (("show", "nowhere"), "nowhere does not exist"),
        (("send", "nowhere.dcm", "--to", "http://pacs"), "http:// is no way to a node"),
        (("listen", "nowhere.toml"), "nowhere.toml: cannot be read: No such file"),
        (("listen", "nowhere.toml", "--echo"), "--echo goes with --check"),
        (("trian",), "No such command 'trian'"),
    ],
)
def test_a_wrong_call_is_exit_code_2_and_says_what_was_wrong(model, tmp_path, arguments, message):
    done = medplug_command(*[one.replace("MODEL", str(model)) for one in arguments], cwd=tmp_path)

    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_verify_passes_and_names_what_was_changed(model, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    good = medplug_command("verify", copy, cwd=tmp_path)
    weights = bytearray((copy / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "weights.safetensors").write_bytes(weights)
    bad = medplug_command("verify", copy, cwd=tmp_path)

    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "verified")
    assert (bad.returncode, bad.stdout.splitlines()[-1]) == (1, "differs: weights")


def test_show_prints_the_card_and_its_json(model, tmp_path):
    shown = medplug_command("show", model, cwd=tmp_path)
    plain = medplug_command("show", model, "--json", cwd=tmp_path)

    assert shown.stdout.startswith("plugin  ")
    assert "modality CR or DX; where absent: admit" in shown.stdout
    assert [line for line in shown.stdout.splitlines() if line != line.rstrip()] == []
    assert json.loads(plain.stdout)["labels"]["names"] == ["normal", "pneumonia"]


def test_novelty_is_said_after_training_in_the_card_and_of_each_case(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 120, (160, 12, 12))
    labels = np.arange(160) % 2
    images[labels == 1, :, 6:] += 80
    rows = {"train": slice(0, 80), "val": slice(80, 140), "test": slice(140, 160)}
    arrays = {f"{split}_images": images[some].astype(np.uint8) for split, some in rows.items()}
    arrays |= {f"{split}_labels": labels[some, None] for split, some in rows.items()}
    np.savez(tmp_path / "data.npz", **arrays)
    stripes = (np.indices((12, 12))[0] % 2 * 255).astype(np.uint8)
    Picture.fromarray(stripes).save(tmp_path / "stripes.png")
    small = ("--set", "width=8", "--set", "depth=1,1", "--device", "cpu")

    trained = medplug_command("train", "cnn", "data.npz", "-o", "m", "--steps", 8, *small, cwd=tmp_path)
    shown = medplug_command("show", "m", cwd=tmp_path)
    marked = medplug_command("run", "m", "stripes.png", "-o", "out", "--device", "cpu", cwd=tmp_path)
    refused = medplug_command("run", "m", "stripes.png", "-o", "r", "--refuse-novel", "--device", "cpu", cwd=tmp_path)

    assert trained.returncode == 0, trained.stderr
    limit = re.search(r"^novelty: limit (.*) \(96th percentile of 60 val rows\)$", trained.stdout, re.MULTILINE)[1]
    assert f"limit {limit} (96th percentile of 60 val rows), compared with 80 train rows by features" in shown.stdout
    assert marked.returncode == 0
    assert "[unlike what the model was trained on: novelty" in marked.stdout
    assert "1 of 1 unlike what the model was trained on" in marked.stderr
    assert refused.returncode == 1
    assert "stripes.png: refused (novel): unlike what the model was trained on" in refused.stdout
    [line] = (tmp_path / "r" / "results.jsonl").read_text().splitlines()
    assert json.loads(line)["novelty"]["novel"] is True


def test_a_table_whose_reader_goes_away_is_no_failure(model, tmp_path):
    command = f'"{sys.executable}" -P -c "from medplug.cli import main; main()" show "{model}"'

    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | true"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert (ran.returncode, ran.stderr) == (0, "")


SLOW_READER = """
import dataclasses, time
import numpy as np
import medplug, medplug.sources

class Reader:
    def accepts(self, source):
        return str(source).endswith(".slow")

    def read(self, source, unit):
        import torch

        def pixels():
            print("reading", flush=True)
            square, until = torch.zeros(1500, 1500), time.monotonic() + 5
            while time.monotonic() < until:
                square @ square
            return np.zeros((1, 40, 30), np.uint8)

        [case] = medplug.sources.read(np.zeros((40, 30), np.uint8))
        images = {name: dataclasses.replace(image, read=pixels) for name, image in case.images.items()}
        yield dataclasses.replace(case, images=images)

@medplug.hookimpl
def medplug_register_sources():
    return [Reader()]
"""


def test_ctrl_c_pressed_twice_while_a_file_is_being_read_is_no_crash(model, tmp_path):
    site = tmp_path / "site"
    (site / "slow-1.0.dist-info").mkdir(parents=True)
    (site / "slow.py").write_text(SLOW_READER)
    (site / "slow-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: slow\nVersion: 1.0\nRequires-Dist: medplug\n"
    )
    (site / "slow-1.0.dist-info" / "entry_points.txt").write_text("[medplug]\nslow = slow\n")
    (tmp_path / "a.slow").touch()
    program = [sys.executable, "-P", "-c", "from medplug.cli import main; main()"]
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(
        [*program, "run", str(model), "a.slow", "-o", "out"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout.readline() == "reading\n"

    for _ in range(2):  # the first waits for what is being read; the second comes while it waits
        running.send_signal(signal.SIGINT)
        time.sleep(1)
    _, complaint = running.communicate(timeout=60)

    assert running.returncode == 130, complaint
    assert complaint.splitlines()[-1] == "interrupted"
