"""The public names: each resolves, and type checkers see the same ones."""

import ast
from pathlib import Path

import pytest

import medplug


def seen_by_type_checkers():
    tree = ast.parse(Path(medplug.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    return {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_every_public_name_resolves():
    for name in dir(medplug):
        assert getattr(medplug, name) is not None, name


def test_type_checkers_see_what_there_is():
    assert seen_by_type_checkers() | {"__version__"} == set(dir(medplug))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'modle'"):
        _ = medplug.modle
