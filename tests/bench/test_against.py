"""Whether the kernels became slower: the decision, what there is to compare, and two builds in turns."""

import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from medplug import CallError, _kernels
from medplug.bench import against, earlier
from medplug.bench.earlier import NothingToCompare


def test_an_item_is_slower_when_the_median_of_its_ratios_is() -> None:
    ratios = {"same": [1.0, 0.9, 9.0], "slower": [1.2, 1.3, 0.5], "faster": [0.5, 0.5, 0.6], "limit": [1.15]}

    assert against.slower(ratios) == ["slower"]


class Told:
    """A measurement that was written down before: by look, the ratio of each item."""

    def __init__(self, *ratios: dict[str, float]) -> None:
        self.ratios = list(ratios)
        self.asked: list[tuple[tuple[str, ...], int]] = []

    def __call__(self, items: Sequence[str], pairs: int) -> dict[str, list[float]]:
        self.asked.append((tuple(items), pairs))
        found = self.ratios.pop(0)
        return {name: [found[name]] * pairs for name in items}


def test_one_look_is_enough_when_nothing_is_slower() -> None:
    told = Told({"a": 1.1, "b": 0.5})

    assert against.decide(told, ["a", "b"], lambda text: None) == []
    assert told.asked == [(("a", "b"), 1)]


def test_what_seems_slower_is_measured_again_with_more_pairs_and_may_be_acquitted() -> None:
    told = Told({"a": 1.4, "b": 1.0}, {"a": 1.05})
    said: list[str] = []

    assert against.decide(told, ["a", "b"], said.append) == []
    assert told.asked[1] == (("a",), against.MORE_PAIRS)
    assert any("a" in line and "SLOWER" in line for line in said)


def test_what_is_slower_twice_is_slower() -> None:
    assert against.decide(Told({"a": 1.4, "b": 1.2}, {"a": 1.3, "b": 1.0}), ["a", "b"], lambda text: None) == ["a"]


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    ran = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def commit(folder: Path, **files: str) -> str:
    for name, text in files.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder


def test_the_parents_kernels_are_found(checkout: Path) -> None:
    before = commit(checkout, cpp__kernel="1")
    commit(checkout, cpp__kernel="2")

    assert earlier.find(checkout, "HEAD~1") == before


def test_a_change_that_is_not_committed_yet_is_compared_with_the_commit(checkout: Path) -> None:
    before = commit(checkout, cpp__kernel="1")
    (checkout / "cpp" / "kernel").write_text("2")

    assert earlier.find(checkout, "HEAD") == before


def test_where_there_is_nothing_to_compare_the_reason_is_said(checkout: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    with pytest.raises(NothingToCompare, match="no git checkout"):
        earlier.find(plain, "HEAD~1")
    commit(checkout, README="1")
    with pytest.raises(NothingToCompare, match="the first commit"):
        earlier.find(checkout, "HEAD~1")
    commit(checkout, cpp__kernel="1")
    with pytest.raises(NothingToCompare, match="has no kernels"):
        earlier.find(checkout, "HEAD~1")
    commit(checkout, README="2")
    with pytest.raises(NothingToCompare, match="the kernels are those of"):
        earlier.find(checkout, "HEAD~1")
    git(tmp_path, "clone", "-q", "--depth", "1", checkout.as_uri(), "shallow")
    with pytest.raises(NothingToCompare, match="shallow"):
        earlier.find(tmp_path / "shallow", "HEAD~1")


def test_a_commit_that_a_whole_history_does_not_know_is_a_wrong_call(checkout: Path) -> None:
    commit(checkout, cpp__kernel="1")

    with pytest.raises(CallError, match="no commit named 'v9'"):
        earlier.find(checkout, "v9")


def test_the_check_passes_and_says_why_when_there_is_nothing_to_compare(checkout: Path) -> None:
    commit(checkout, cpp__kernel="1")

    ran = CliRunner().invoke(against.command, ["--checkout", str(checkout)])

    assert (ran.exit_code, ran.output) == (0, "nothing to compare: the first commit has none before it\n")


def test_a_commit_that_does_not_build_is_nothing_to_compare_with(checkout: Path, tmp_path: Path) -> None:
    made = commit(checkout, CMakeLists="nonsense", cpp__kernel="1")

    with pytest.raises(NothingToCompare, match="does not build"):
        earlier.build(checkout, made, tmp_path)


def test_two_builds_run_in_turns() -> None:
    ours = Path(_kernels.__file__ or "")

    ratios = against.race(ours, ours, ["radiograph-512", "mask"], pairs=3)

    assert list(ratios) == ["radiograph-512", "mask"]
    assert {len(values) for values in ratios.values()} == {3}
    assert all(0.5 < statistics.median(values) < 2 for values in ratios.values())


def test_an_earlier_extension_that_cannot_be_called_is_nothing_to_compare_and_ours_is_a_fault(tmp_path: Path) -> None:
    ours, broken = Path(_kernels.__file__ or ""), tmp_path / "_kernels.so"
    broken.write_bytes(b"not an extension")

    with pytest.raises(NothingToCompare, match="ImportError"):
        against.race(ours, broken, ["mask"])
    with pytest.raises(CallError, match="as they are do not run"):
        against.race(broken, ours, ["mask"])
