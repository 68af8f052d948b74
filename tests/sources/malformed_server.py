"""Runs `medplug run` on every file below a folder, each in a process of its own with limits; prints a JSON line a file.

The processes are forked from this one, which has imported everything and answered an image: that saves seconds a file.
"""

import contextlib
import io
import json
import os
import resource
import signal
import sys
import warnings
from pathlib import Path

MEMORY = 1 << 30
SECONDS = 20


def main(folder, model, good, work):
    warnings.simplefilter("error")
    import torch

    from medplug.cli import main as command

    torch.set_num_threads(1)  # no threads of its own, which would not live through a fork
    answer(command, model, good, work / "warm")
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        own = work / f"{number:03}"
        own.mkdir()
        child = os.fork()
        if not child:
            end = 70
            try:
                limit()
                os.chdir(own)
                end = answer(command, model, path, own / "out")
                read_all(path)
            except BaseException as error:  # whatever it is, it is no answer
                print(type(error).__name__, error, file=sys.stderr)
                end = 71
            finally:
                os._exit(end)
        _, status, usage = os.wait4(child, 0)
        files = sorted(str(file.relative_to(own)) for file in own.rglob("*") if file.is_file())
        results = own / "out" / "results.jsonl"
        lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
        end = os.waitstatus_to_exitcode(status)
        told = {"file": str(path), "exit": end, "KiB": usage.ru_maxrss, "files": files, "results": lines}
        print(json.dumps(told), flush=True)


def limit():
    """Room for 1 GiB in memory: what is mapped already and not in memory does not count."""
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    mapped, present = (int(status[name].split()[0]) << 10 for name in ("VmSize", "VmRSS"))
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY - present,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(SECONDS)  # nobody handles it: it ends the process


def answer(command, model, path, output):
    """The exit code of `medplug run` on one file."""
    arguments = ["run", str(model), str(path), "-o", str(output), "--write", "json", "--device", "cpu"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            command(arguments)
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def read_all(path):
    """Read the pixels, too, that a 2-D model of grey images never asks for."""
    from medplug import Unit, sources
    from medplug.case import Case
    from medplug.errors import SourceError

    for unit in (Unit.FRAME, Unit.SERIES):
        for found in sources.read(path, unit):
            if isinstance(found, Case):
                with contextlib.suppress(SourceError):
                    found.image.read()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
