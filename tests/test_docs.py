"""The documentation is true: its commands run, what it says they print is what they print, its pages are up to date.

A comment right above a fenced block says what is done with it:

- `<!-- run -->` runs a `sh` or `python` block in the page's own folder; `<!-- run exit=1 -->` expects that exit code
- `<!-- shows: file -->` compares a block with a file beside the page: a reader of the plain page sees it too
- `<!-- prints -->` compares a `text` block with what the block before it printed; `...` stands for anything
- `<!-- not run: why -->` leaves a block alone
- `<!-- files: ... -->`, anywhere, names what is copied from docs/ into the page's folder
- `<!-- needs: ... -->`, anywhere, names programs and files without which the page is skipped
"""

import contextlib
import doctest
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import get_args

import msgspec
import pytest

from medplug import MedplugError, Preprocessing
from medplug.plugins import discover
from medplug.result import RefusalCode

DOCS = Path(__file__).resolve().parent.parent / "docs"
PLUGINS = DOCS.parent / "plugins"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
READMES = sorted(PLUGINS.glob("*/README.md"))

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<language>[\w{}-]+)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_NEEDS = re.compile(r"<!-- needs: (.*?) -->")
_FILES = re.compile(r"<!-- files: (.*?) -->")
_RAN = ("sh", "python")
_PRINTS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the comment above it."""

    mark: str
    language: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(page):
        line = page.count("\n", 0, found.start("text")) + 1
        yield Block(found["mark"] or "", found["language"], found["text"], line)


def play(page: str, folder: Path, name: str) -> int:
    """Run a page's blocks in order and return how many there were; `AssertionError` names the first that is untrue."""
    started: list[subprocess.Popen[str]] = []
    try:
        return _play(page, folder, name, started)
    finally:
        for block in started:  # what a block started in the background ends with the page
            with contextlib.suppress(ProcessLookupError):
                os.killpg(block.pid, signal.SIGTERM)


def _play(page: str, folder: Path, name: str, started: list[subprocess.Popen[str]]) -> int:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(folder / ".installed"),
        "COLUMNS": "100",
        "OMP_NUM_THREADS": "1",
        # `pip install ./folder` as the page says it, without the network and beside the environment
        "PIP_TARGET": str(folder / ".installed"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say that there shall be no isolation
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_QUIET": "1",
    }
    printed, count = "", 0
    for block in blocks(page):
        where = f"{name}:{block.line}"
        if block.mark == "prints":
            told = doctest.OutputChecker().check_output(block.text, printed, _PRINTS)
            assert told, f"{where}: the page says\n{block.text}\nand this was printed\n{printed}"
        if not block.mark.startswith("run"):
            continue
        wanted = int(block.mark.partition("exit=")[2] or 0)
        command = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-c"]
        ran = subprocess.Popen(
            [*command, block.text],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(ran)
        printed, complaint = ran.communicate(timeout=240)
        assert ran.returncode == wanted, f"{where}: exit {ran.returncode}\n{block.text}\n{printed}\n{complaint}"
        count += 1
    return count


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.mark.startswith("run") for block in blocks(page.read_text()))],
    ids=lambda page: str(page.relative_to(DOCS)),
)
def test_what_a_page_says_is_so(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    for found in _NEEDS.finditer(text):
        for name in found[1].split():
            if shutil.which(name) is None and not Path(name).is_file():
                pytest.skip(f"{name} is not installed")
    for found in _FILES.finditer(text):
        for name in found[1].split():
            source = DOCS / name
            if source.is_dir():
                shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tmp_path)

    play(text, tmp_path, str(page.relative_to(DOCS)))


def test_the_code_that_a_page_shows_is_that_of_the_file() -> None:
    shown = [
        (page, block.mark.removeprefix("shows: "), block.text)
        for page in PAGES
        for block in blocks(page.read_text())
        if block.mark.startswith("shows: ")
    ]

    assert len(shown) >= 3
    for page, name, text in shown:
        assert (page.parent / name).read_text() == text, f"{page.name} shows another {name} than there is"


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda page: str(page.relative_to(DOCS.parent)))
def test_every_command_of_a_page_is_run_or_says_why_not(page: Path) -> None:
    silent = [block.line for block in blocks(page.read_text()) if block.language in _RAN and not block.mark]

    assert silent == [], f"mark the blocks at these lines with <!-- run --> or <!-- not run: why -->: {silent}"


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("<!-- run -->\n```sh\nfalse\n```\n", "exit 1"),
        ("<!-- run exit=1 -->\n```sh\ntrue\n```\n", "exit 0"),
        ("<!-- run -->\n```sh\ncat nothing | true\n```\n", "exit 1"),
        ("<!-- run -->\n```sh\necho 12\n```\n<!-- prints -->\n```text\n13\n```\n", "this was printed"),
        ("<!-- run -->\n```python\nraise SystemExit(3)\n```\n", "exit 3"),
    ],
)
def test_an_untrue_page_is_found(page: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=complaint):
        play(page, tmp_path, "page")


def test_a_true_page_passes(tmp_path: Path) -> None:
    page = "<!-- run -->\n```sh\necho 0.123 of 12\n```\n\n<!-- prints -->\n```text\n... of 12\n```\n"

    assert play(page, tmp_path, "page") == 1


def test_the_first_plugin_takes_forty_lines() -> None:
    lines = (DOCS / "tutorial" / "medplug-tiny" / "medplug_tiny.py").read_text().splitlines()

    assert len([line for line in lines if line.strip()]) <= 40


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.parent.name)
def test_a_plugins_readme_lists_its_options_with_their_defaults(readme: Path) -> None:
    name = readme.read_text().partition("\n")[0].removeprefix("# ")
    options = discover(only="medplug").find(name).model.Options

    listed = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", readme.read_text(), re.MULTILINE))

    assert listed == {field.name: repr(field.default) for field in msgspec.structs.fields(options)}


def test_every_plugin_has_a_readme() -> None:
    folders = {path.parent for path in PLUGINS.glob("medplug_*/__init__.py")}

    assert {readme.parent for readme in READMES} == folders


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_say_what_the_program_says() -> None:
    for name, text in generator().pages().items():
        assert (DOCS / name).read_text() == text, f"docs/{name} is out of date: run `python docs/generate.py`"


def examples() -> list[tuple[str, str]]:
    page = (DOCS / "reference" / "preprocessing.md").read_text()
    return [(f"line {block.line}", block.text) for block in blocks(page) if block.language == "json"]


@pytest.mark.parametrize(("line", "text"), examples())
def test_every_example_of_a_preprocessing_can_be_parsed(line: str, text: str) -> None:
    assert Preprocessing.from_json(text).version == 1, line


def test_the_reference_shows_every_value_and_geometry_step() -> None:
    shown = " ".join(text for _, text in examples())
    values = ["display", "window", "windows", "range", "percentiles", "fit-percentiles", "full", "stored"]
    steps = ["spacing", "orient", "resize", "crop", "pad", "rotate", "flip"]

    missing = [one for one in values if f'"{one}":' not in shown]
    missing += [one for one in steps if f'"op": "{one}"' not in shown]

    assert missing == []


def test_the_table_of_refusals_is_whole() -> None:
    page = (DOCS / "reference" / "refusals.md").read_text()

    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.M)

    assert sorted(listed) == sorted(get_args(RefusalCode))


def test_every_error_of_medplug_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "results.md").read_text()

    for error in [MedplugError, *MedplugError.__subclasses__()]:
        if error.__module__ == "medplug.errors":
            assert f"medplug.{error.__name__}" in page


def test_every_public_name_is_in_the_reference() -> None:
    import medplug

    pages = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))

    missing = [name for name in dir(medplug) if not re.search(rf"\bmedplug\.{name}\b", pages)]

    assert [name for name in missing if name != "__version__"] == []
