"""The site: Sphinx with MyST and furo. `sphinx-build -W -n docs docs/_build` must pass without the network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import medplug
from medplug.bench.report import from_json
from medplug.bench.stream import Flow
from medplug.bench.stream import markdown as stream_markdown
from medplug.bench.tables import markdown

project = "medplug"
author = copyright = "The medplug authors"
release = version = medplug.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
highlight_language = "text"
default_role = "code"

html_theme = "furo"
html_title = "medplug"
html_static_path = ["_static"]
html_css_files = ["medplug.css"]
html_show_sphinx = False
html_copy_source = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
maximum_signature_line_length = 72
python_use_unqualified_type_names = True

# What is documented elsewhere and cannot be looked up without the network.
nitpick_ignore_regex = [
    ("py:.*", r"(torch|np|numpy|nn|pluggy|pathlib|collections|contextlib|typing)\..*"),
    ("py:class", r"(Tensor|Optimizer|NDArray|Path|Any|Literal|Mapping|Sequence|Iterator|Iterable|Callable|optional)"),
    # The host's own, which a plugin never makes.
    ("py:class", r"medplug\.(geometry\.Grid|pipeline\.Prepared|model\.NoOptions)"),
]

PUBLIC = set(dir(medplug))


def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Find `medplug.model.Model`, or `Model` alone, where the reference documents it: at `medplug.Model`."""
    name = node.get("reftarget", "").rsplit(".", 1)[-1]
    domain = env.get_domain("py")
    targets = [f"medplug.{name}"] if name in PUBLIC else [one for one in domain.objects if one.endswith(f".{name}")]
    if len(targets) != 1 or node.get("refdomain") != "py":
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", targets[0], node, content)


def escape(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain words with code in single backticks: leave no other mark-up to reStructuredText."""
    for number, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        lines[number] = "".join(part if part[:1] == "`" else re.sub(r"([*|])", r"\\\1", part) for part in parts)


READABLE = (
    (r"<factory>|<function <lambda>>", "..."),  # is no Python, and Sphinx would cut the signature up
    (r"~?(numpy\.)?ndarray\[tuple\[.*?\], ~?(numpy\.)?dtype\[.*?\]\]", "~numpy.ndarray"),
    (r"= (Labels|DataOptions|TableOptions)\((?:[^()]|\([^()]*\))*\)", r"= \1()"),
)


def readable(app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None, returned: Any) -> Any:
    """Shorten what Sphinx makes of defaults and of arrays."""
    if signature is None:
        return None
    for pattern, words in READABLE:
        signature = re.sub(pattern, words, signature)
    return signature, returned


class Kernels(SphinxDirective):
    """The tables and the picture of the last measured run, where `_static` has them; otherwise nothing."""

    def run(self) -> list[nodes.Node]:
        measured = Path(self.env.srcdir) / "_static" / "kernels.json"
        self.env.note_dependency(str(measured))
        if not measured.exists():
            return []
        text = markdown(from_json(measured.read_bytes()))
        if measured.with_suffix(".svg").exists():
            text = f"![Time of each work item by library](/_static/kernels.svg)\n\n{text}"
        return self.parse_text_to_nodes(text)


class Streams(SphinxDirective):
    """The tables of the measured flows that `_static` has; otherwise nothing."""

    def run(self) -> list[nodes.Node]:
        found = sorted((Path(self.env.srcdir) / "_static").glob("stream-*.json"))
        for file in found:
            self.env.note_dependency(str(file))
        flows = [msgspec.json.decode(file.read_bytes(), type=Flow) for file in found]
        return self.parse_text_to_nodes("\n\n".join(map(stream_markdown, flows))) if flows else []


def setup(app: Any) -> None:
    """Connect the five above."""
    app.add_directive("kernels", Kernels)
    app.add_directive("streams", Streams)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", escape)
    app.connect("autodoc-process-signature", readable)
