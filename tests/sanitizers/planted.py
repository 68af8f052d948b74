"""Bugs on purpose (cpp/planted_bug.cpp): a sanitizer that does not report them reports nothing."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """A call that must end with a report, and the same call without the bug, which must end well."""

    call: str
    report: str
    harmless: str


BUGS = {
    "address": [Bug("read_heap(8)", "AddressSanitizer: heap-buffer-overflow", "read_heap(7)")],
    "undefined": [
        Bug("add_one(2**31 - 1)", "runtime error: signed integer overflow", "add_one(2**31 - 2)"),
        Bug("to_integer(1e19)", "is outside the range of representable values", "to_integer(1e18)"),
    ],
    "thread": [Bug("count_with(2)", "ThreadSanitizer: data race", "count_with(1)")],
}


def prove(bug: Bug, environment: Mapping[str, str], module: str = "_planted_bug") -> None:
    """End the program unless the bug, and nothing but the bug, dies with its report."""
    harmless = _call(module, bug.harmless, environment)
    if harmless.returncode != 0:
        sys.exit(f"{bug.harmless} has no bug and ended with {harmless.returncode}:\n{harmless.stderr}")
    planted = _call(module, bug.call, environment)
    if planted.returncode == 0 or bug.report not in planted.stderr:
        sys.exit(
            f"the planted bug {bug.call} was NOT caught: exit {planted.returncode}, without the words "
            f"'{bug.report}', so a clean run would prove nothing\n{planted.stderr}"
        )
    [line, *_] = [line for line in planted.stderr.splitlines() if bug.report in line]
    print(f"planted bug {bug.call}: caught, exit {planted.returncode}: {line.strip()}", flush=True)


def _call(module: str, call: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    code = f"import {module}; {module}.{call}"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
