"""Which plugins the installed distributions declare. Only metadata is read; nothing of a plugin is imported."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .errors import PluginError
from .hookspecs import PROJECT

GROUP = "medplug"


@dataclass(frozen=True)
class Declared:
    """An entry point of an installed distribution, whose name is normalised; its requirements are PEP 508 texts."""

    entry_point: metadata.EntryPoint
    distribution: str
    version: str
    requirements: tuple[str, ...]


def declared_plugins() -> tuple[list[Declared], dict[str, str]]:
    """Return what is declared, medplug's own first, and why other distributions' metadata cannot be read.

    Every distribution is read by itself, because `metadata.entry_points` stops at the first file that it cannot parse.
    Of distributions with one name only the first on the path counts, as for an import.
    """
    declared: dict[str, list[Declared]] = {}
    unreadable: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = "unnamed"
        try:
            if not _declares(distribution):
                continue
            name = _name(distribution)
            if name not in declared and name not in unreadable:
                declared[name] = _read(distribution, name)
        except Exception as error:
            unreadable[name] = str(error) if isinstance(error, PluginError) else f"unreadable metadata: {words(error)}"
    found = [plugin for plugins in declared.values() for plugin in plugins]
    found.sort(key=lambda plugin: (plugin.distribution != PROJECT, plugin.distribution, plugin.entry_point.name))
    return found, unreadable


def _declares(distribution: metadata.Distribution) -> bool:
    """Whether there is a section of plugins; a stranger's file that is no UTF-8 may still hold one."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
    except UnicodeDecodeError:
        return True
    return f"[{GROUP}]" in text


def _name(distribution: metadata.Distribution) -> str:
    if "Name" not in distribution.metadata:
        raise PluginError("a distribution without a name declares plugins; remove what is left of it and install anew")
    return canonicalize_name(distribution.metadata["Name"])


def _read(distribution: metadata.Distribution, name: str) -> list[Declared]:
    if "Version" not in distribution.metadata:
        raise PluginError("its metadata lacks a version; install it anew")
    entry_points = dict.fromkeys(distribution.entry_points.select(group=GROUP))
    requirements = tuple(distribution.requires or ())
    return [Declared(entry_point, name, distribution.version, requirements) for entry_point in entry_points]


def refuse_other_host(requirements: Iterable[str], version: str) -> None:
    """Refuse a distribution whose own requirements exclude this version of medplug."""
    for line in requirements:
        requirement = Requirement(line)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if canonicalize_name(requirement.name) != PROJECT or not applies:
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            raise PluginError(
                f"made for medplug {requirement.specifier}; this is {version}. Install a version made for this one"
            )


def words(error: BaseException) -> str:
    """Return an exception as one line, even when its own text fails."""
    return " ".join("".join(traceback.format_exception_only(error)).split())
