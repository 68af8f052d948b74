"""Where medplug keeps what must outlive a run: when its objects were first made, and the listener's queue."""

from __future__ import annotations

import os
from pathlib import Path

ENVIRONMENT = "MEDPLUG_STATE"


def folder() -> Path:
    """The folder that `MEDPLUG_STATE` names, else `medplug` in the user's state folder (XDG_STATE_HOME)."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "medplug"
