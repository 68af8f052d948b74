"""The kernels of an earlier commit, built as the project builds them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

from ..errors import CallError

SOURCES = ("cpp", "CMakeLists.txt")


class NothingToCompare(Exception):  # noqa: N818  # no fault: the check passes and says why
    """There are no earlier kernels, or they are the same."""


def find(checkout: Path, name: str) -> str:
    """Return the hash of a commit whose kernels differ from the checkout's.

    Raises `NothingToCompare` where there is none, and `CallError` for a name that a whole history does not know.
    """
    if _git(checkout, "rev-parse", "--git-dir").returncode:
        raise NothingToCompare("this is no git checkout")
    found = _git(checkout, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if found.returncode:
        if _git(checkout, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            raise NothingToCompare(f"the checkout is shallow and does not hold {name}")
        if name == "HEAD~1":
            raise NothingToCompare("the first commit has none before it")
        raise CallError(f"no commit named {name!r} in {checkout}")
    commit = found.stdout.strip()
    if not _git(checkout, "ls-tree", commit, "--", *SOURCES).stdout.strip():
        raise NothingToCompare(f"{commit[:12]} has no kernels")
    if _git(checkout, "diff", "--quiet", commit, "--", *SOURCES).returncode == 0:
        raise NothingToCompare(f"the kernels are those of {commit[:12]}")
    return commit


def build(checkout: Path, commit: str, folder: Path) -> Path:
    """Build the extension of `commit` inside `folder` and return its file; `NothingToCompare` if it does not build.

    Pip builds it, as it built the one that is installed, so that both have the same compiler and flags.
    """
    source, wheels = folder / "source", folder / "wheels"
    source.mkdir()
    packed = subprocess.run(["git", "archive", commit], cwd=checkout, check=True, capture_output=True, timeout=60)
    subprocess.run(["tar", "-x", "-C", source], input=packed.stdout, check=True, timeout=60)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels), str(source)]
    if all(importlib.util.find_spec(name) for name in ("pybind11", "scikit_build_core")):
        command.append("--no-build-isolation")
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if built.returncode:
        raise NothingToCompare(f"{commit[:12]} does not build: {built.stderr.strip()[-500:]}")
    [wheel] = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("medplug/_kernels.") and name.endswith((".so", ".pyd")):
                return Path(archive.extract(name, folder))
    raise NothingToCompare(f"{commit[:12]} has no extension medplug._kernels")


def _git(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=checkout, capture_output=True, text=True, timeout=60, check=False)
