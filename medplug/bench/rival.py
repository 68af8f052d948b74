"""A process that runs the work items on one build of the kernels: `python -m medplug.bench.rival EXTENSION`.

It reads the name of an item and how many calls to make from standard input, and answers the seconds of CPU of one
as a line of JSON; what cannot be run answers {"problem": ...}. All but the extension is this version's.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import medplug

from .contestant import Run

SHRINK = 2
"""By how much each side is shorter than in the benchmark: long enough to be measured, short enough to wait for."""


def load(extension: Path) -> ModuleType:
    """Load a build of the kernels in the place of the installed one; `ImportError` if it cannot be."""
    spec = importlib.util.spec_from_file_location("medplug._kernels", extension)
    if spec is None or spec.loader is None:
        raise ImportError(f"{extension} is no extension module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["medplug._kernels"] = module
    vars(medplug)["_kernels"] = module
    return module


def serve(extension: Path) -> None:
    """Answer lines until there are no more."""
    answers = os.fdopen(os.dup(1), "w")  # what a library prints must not come between
    os.dup2(2, 1)
    runs: dict[str, Run] = {}
    try:
        load(extension)
        from . import ours
        from .checking import Checker
        from .items import build
        from .timing import turn
    except Exception as error:
        print(json.dumps({"problem": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        return
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        name, calls = json.loads(line)
        try:
            if name not in runs:
                work = build(name, SHRINK)
                run = ours.contestant(work, 1).run
                if Checker(work, 1 << 10).judge(run()).answer == "wrong":
                    raise ValueError("its answer is wrong")
                runs[name] = run
            runs[name]()  # the other process had the caches
            answer: dict[str, object] = {"seconds": turn(runs[name], calls)[1]}
        except Exception as error:  # another version's kernels may be called otherwise
            answer = {"problem": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
