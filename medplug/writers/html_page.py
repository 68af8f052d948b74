"""A report: one self-contained HTML file made of sections, under a policy that lets nothing run or load."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from ..model_folder import write_whole

NOT_FOR_DIAGNOSIS = "Not for diagnosis. These are a model's answers as they came; medplug is no medical device."


@dataclass(frozen=True)
class Section:
    """A part of a report: `body` is HTML that has been escaped. A section without a body opens a chapter."""

    title: str
    body: Markup = Markup()  # noqa: RUF009  # immutable
    lead: str = ""


def chapter(title: str, lead: str = "") -> Section:
    """Return the heading of the sections that follow."""
    return Section(title, Markup(), lead)


def text_section(title: str, *paragraphs: str) -> Section:
    """Return a section of plain paragraphs."""
    return Section(title, fill("text.html", paragraphs=paragraphs))


def fill(template: str, **values: Any) -> Markup:
    """Fill one of the package's templates; every value is escaped."""
    return Markup(_ENVIRONMENT.get_template(template).render(**values))


def page(title: str, sections: Sequence[Section], *, kind: str = "report", lead: str = "") -> str:
    """Return a whole report; equal sections give equal bytes."""
    style = _ENVIRONMENT.get_template("style.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return fill(
        "page.html",
        title=title,
        kind=kind,
        lead=lead,
        notice=NOT_FOR_DIAGNOSIS,
        sections=sections,
        style=Markup(style),  # the package's own file, hashed as it stands
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'",
    )


def write_page(path: Path, title: str, sections: Sequence[Section], *, kind: str = "report", lead: str = "") -> Path:
    """Write a whole report, or nothing; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file name that is no text comes as lone surrogates, which UTF-8 cannot hold.
    write_whole(path, page(title, sections, kind=kind, lead=lead).encode("utf-8", "backslashreplace"))
    return path


def percent(fraction: float) -> str:
    """Write a fraction as a percentage: 0.8731 as 87.3 %."""
    return f"{100 * fraction:.1f} %"


def number(value: float) -> str:
    """Write a number to four significant digits."""
    return f"{value:.4g}"


def count(value: int) -> str:
    """Write a count with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u2009")


def breakable(name: str) -> Markup:
    """Let a long name break after its underscores, not in the middle of a word."""
    return escape(name).replace("_", Markup("_<wbr>"))


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("medplug.writers"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(breakable=breakable, percent=percent, number=number, count=count)
