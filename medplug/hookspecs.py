"""The hooks of medplug: what a plugin may implement. Hooks return; they are handed no registry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from .model import Model
    from .result import Result
    from .sources import Source
    from .writers import Writer

PROJECT = "medplug"
OWN_WRITERS = (
    *("json", "html", "png", "dicom"),
    *("dicom-sr", "dicom-seg", "dicom-seg-fractional", "dicom-map", "dicom-capture"),
)
"""The names of medplug's own writers, which no plugin's may bear."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def medplug_register_models() -> Iterable[type[Model]]:  # type: ignore[empty-body]  # a declaration
    """Return the models that this plugin offers.

    Called once, at discovery: build networks and read weights later, in `Model.build`.
    """


@hookspec
def medplug_register_sources() -> Iterable[Source]:  # type: ignore[empty-body]
    """Return readers for sources that medplug does not know, as `medplug.sources.Source` describes.

    `medplug run` and `medplug.run` ask them before medplug's own, for every path that is named or found in a folder.
    From Python, hand them to `medplug.sources.read` as `extra`.
    """


@hookspec
def medplug_register_writers() -> Iterable[type[Writer]]:  # type: ignore[empty-body]
    """Return writers, each reachable by its name in `--write`.

    A plugin with a writer whose name is medplug's own or another plugin's is set aside.
    """


@hookspec
def medplug_run_started(model: str, sources: tuple[str, ...]) -> None:
    """Observe that a run begins."""


@hookspec
def medplug_case_done(result: Result) -> None:
    """Observe one result, a refusal among them. An observer that raises is named once and asked no more."""


@hookspec
def medplug_run_finished(model: str, answered: int, refused: int, skipped: int) -> None:
    """Observe that a run has ended."""
