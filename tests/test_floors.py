"""Imports point down: each module of medplug has a floor, and what it imports lies on a lower one."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import medplug

PROJECT = Path(__file__).resolve().parent.parent

FLOORS = {
    0: "_kernels errors case result state temporary",
    1: "modalities geometry geometry_steps preprocessing augmentation padding tone plan model selection nodes lesions",
    2: "hookspecs installed plugin_contract plugins sources",
    3: "model_folder pipeline batching devices golden operating explain generating decoded session dataset figures "
    "operating_figures comparison_figures novelty",
    4: "writers running training evaluation pacs planting planting_images",
    5: "__init__ demo bench",  # medplug itself, whose public names reach all of the above
    6: "cli",
    7: "__main__",
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names.split()}


@dataclass(frozen=True)
class Import:
    """What one statement imports: `name` out of `module`, or the module itself."""

    module: str
    name: str | None
    line: int


def imports(file: Path, package: str, *, for_types: bool) -> Iterator[Import]:
    """Every import of a file, those inside functions too; `for_types` says whether TYPE_CHECKING blocks count."""
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    for node in waiting:  # grows on the way
        if isinstance(node, ast.If) and not for_types and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        waiting += ast.iter_child_nodes(node)


def unit_of(imported: Import, known: set[str]) -> str | None:
    """The module or folder right below medplug that an import reaches; None when it is not medplug's."""
    top, *below = imported.module.split(".")
    if top != "medplug":
        return None
    if below:
        return below[0]
    if imported.name in known:
        return imported.name
    if imported.name == "__version__":
        return None
    return medplug._MODULE.get(imported.name or "", "__init__")


def breaches(root: Path, floor: dict[str, int]) -> list[str]:
    """What in the package `root` breaks the order of the floors, in words."""
    found: list[str] = []
    files = sorted(root.rglob("*.py"))
    known = {file.relative_to(root).parts[0].removesuffix(".py") for file in files} | {"_kernels"}
    found += [f"{name} has no floor" for name in sorted(known - set(floor))]
    level: dict[str, set[str]] = {}
    for file in files:
        parts = file.relative_to(root).with_suffix("").parts
        unit, package = parts[0], ".".join(["medplug", *parts[:-1]])
        for imported in imports(file, package, for_types=False):
            target = unit_of(imported, known)
            if target is None or target == unit or not {unit, target} <= set(floor):
                continue
            if floor[target] > floor[unit]:
                place = f"{file.relative_to(root)}:{imported.line}"
                found.append(f"{place}: {unit} ({floor[unit]}) imports {target} ({floor[target]})")
            elif floor[target] == floor[unit]:
                level.setdefault(unit, set()).add(target)
    try:
        TopologicalSorter(level).prepare()
    except CycleError as error:
        found.append(f"a circle: {' -> '.join(reversed(error.args[1]))}")
    return found


def trespasses(folder: Path) -> list[str]:
    """What a plugin imports beside medplug's public names, torch, MONAI, the standard library and itself."""
    found = []
    for file in sorted(folder.rglob("*.py")):
        package = ".".join(file.relative_to(folder.parent).parts[:-1])
        for imported in imports(file, package, for_types=True):
            top = imported.module.partition(".")[0]
            if top in sys.stdlib_module_names or top in ("torch", "monai", folder.name):
                continue
            if imported.module == "medplug" and imported.name in (None, *dir(medplug)):
                continue
            what = imported.module if imported.name is None else f"{imported.module}.{imported.name}"
            found.append(f"{file.relative_to(folder.parent)}:{imported.line}: {what}")
    return found


def test_every_module_imports_from_lower_floors_only() -> None:
    assert breaches(PROJECT / "medplug", FLOOR) == []


@pytest.mark.parametrize("plugin", sorted(path.name for path in (PROJECT / "plugins").iterdir() if path.is_dir()))
def test_a_reference_plugin_takes_no_more_than_a_strangers_could(plugin: str) -> None:
    assert trespasses(PROJECT / "plugins" / plugin) == []


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        file = root / f"{name.replace('__in__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


PLANTED = {
    "import medplug.high": ["low.py:1: low (0) imports high (1)"],
    "from . import high": ["low.py:1: low (0) imports high (1)"],
    "from .high import x": ["low.py:1: low (0) imports high (1)"],
    "from medplug.high import x": ["low.py:1: low (0) imports high (1)"],
    "def f():\n    from .high import x": ["low.py:2: low (0) imports high (1)"],
    "from .folder.part import x": ["low.py:1: low (0) imports folder (1)"],
    "from .beside import x": ["a circle: beside -> low -> beside"],
    "if TYPE_CHECKING:\n    from .high import x": [],
    "if typing.TYPE_CHECKING:\n    pass\nelse:\n    from .high import x": ["low.py:4: low (0) imports high (1)"],
    "import high, torch, json": [],
}


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_breach_is_found(tmp_path: Path, text: str) -> None:
    root = write(
        tmp_path,
        low=text,
        beside="from .low import x" if "beside" in text else "",
        high="from .low import x\nfrom .folder import part",
        folder__in__part="from ..low import x\nfrom .other import x",
        folder__in__other="from . import part",
        _kernels="",
    )

    found = breaches(root, {"low": 0, "beside": 0, "_kernels": 0, "high": 1, "folder": 1})

    assert sorted(line.replace("low -> beside -> low", "beside -> low -> beside") for line in found) == PLANTED[text]


def test_a_folder_cannot_climb_either(tmp_path: Path) -> None:
    root = write(tmp_path, high="", folder__in__part="from .. import high", _kernels="")

    assert breaches(root, {"folder": 0, "_kernels": 0, "high": 1}) == ["folder/part.py:1: folder (0) imports high (1)"]


def test_a_new_module_needs_a_floor(tmp_path: Path) -> None:
    assert breaches(write(tmp_path, new="", _kernels=""), {"_kernels": 0}) == ["new has no floor"]


def test_a_plugins_trespass_is_found(tmp_path: Path) -> None:
    plugin = write(
        tmp_path / "medplug_x",
        __init__="import torch, json\nimport medplug\nfrom medplug import Model\nfrom .network import A\nimport numpy",
        network="from torch import nn\nfrom medplug.model import Model\nfrom medplug import secret",
    )

    assert trespasses(plugin) == [
        "medplug_x/__init__.py:5: numpy",
        "medplug_x/network.py:2: medplug.model.Model",
        "medplug_x/network.py:3: medplug.secret",
    ]


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import medplug", {"torch", "pydicom", "msgspec", "numpy", "pluggy"}),
        ("import medplug.plugins", {"torch", "pydicom"}),
        ("from medplug import Model, Preprocessing, hookimpl", {"torch", "pydicom"}),
    ],
)
def test_what_is_not_used_is_not_imported(statement: str, absent: set[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement], capture_output=True, text=True, check=True, timeout=120
    )

    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}

    assert "medplug" in imported
    assert imported & absent == set()
