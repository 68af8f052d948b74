"""Runs the kernel tests under one sanitizer, once it has caught the planted bugs: `python -m sanitizers.run address`.

What follows the sanitizer's name goes to pytest. Needs GCC, whose runtime libraries Python loads first.
"""

import os
import subprocess
import sys

from sanitizers.extension import PROJECT, Built, build, library
from sanitizers.planted import BUGS, prove

COMPILER = os.environ.get("CXX", "g++")
TESTS = PROJECT / "tests" / "kernels"


def environment(sanitizer: str, built: Built) -> dict[str, str]:
    """What the sanitizer's runtime needs in a Python that was built without it."""
    if sanitizer == "address":
        # Python keeps memory to the end, which is no leak; its own small blocks would hide an overflow from one into
        # the next.
        preload = f"{library(COMPILER, 'libasan.so')} {library(COMPILER, 'libstdc++.so')}"
        return built.environment(LD_PRELOAD=preload, ASAN_OPTIONS="detect_leaks=0", PYTHONMALLOC="malloc")
    if sanitizer == "thread":
        # A forked child has threads of its own: that is one of the tests.
        options = "halt_on_error=1 die_after_fork=0"
        return built.environment(LD_PRELOAD=library(COMPILER, "libtsan.so"), TSAN_OPTIONS=options)
    return built.environment(UBSAN_OPTIONS="print_stacktrace=1")


def left_out(sanitizer: str) -> list[str]:
    """TSan knows nothing of how torch, built without it, orders its threads, and reports them."""
    if sanitizer != "thread":
        return []
    files = [path for path in sorted(TESTS.glob("test_*.py")) if "\nimport torch\n" in path.read_text()]
    print("left out, for they import torch:", *[path.name for path in files], flush=True)
    return [f"--ignore={path}" for path in files]


def main() -> None:
    """Build, prove, test."""
    sanitizer, *arguments = sys.argv[1:] or [""]
    if sanitizer not in BUGS:
        sys.exit(f"no sanitizer named '{sanitizer}'; there are {', '.join(BUGS)}")
    built = build(f"sanitizers/{sanitizer}", COMPILER, [sanitizer], "-DMEDPLUG_PLANTED_BUG=ON")
    runtime = environment(sanitizer, built)
    for bug in BUGS[sanitizer]:
        prove(bug, runtime)
    built.check_that_it_is_imported(runtime)
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=1800"]
    command = [*pytest, *left_out(sanitizer), *(arguments or ["-q"]), str(TESTS)]
    # From the build, where `python -m` does not put the source tree before everything else.
    sys.exit(
        subprocess.run(
            [*command, f"--rootdir={PROJECT}", "-c", PROJECT / "pyproject.toml"],
            env=runtime,
            cwd=built.folder,
            check=False,
        ).returncode
    )


if __name__ == "__main__":
    main()
