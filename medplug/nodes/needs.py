"""What the PACS side needs beside medplug itself."""

from __future__ import annotations

import importlib.util

from ..errors import CallError


def needs(module: str) -> None:
    """Raise `CallError` where a module is not installed."""
    if importlib.util.find_spec(module) is None:
        raise CallError(f"nodes are talked to through {module}: pip install 'medplug[pacs]'")
