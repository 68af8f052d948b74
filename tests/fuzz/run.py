"""Fuzzes the kernels (libFuzzer) and their Python binding (atheris): `python -m fuzz.run --seconds 3600`.

Needs Clang with its sanitizer runtime. Corpora grow in build/fuzz/corpus from run to run; an input that
breaks something is left in build/fuzz/findings.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from fuzz import seeds
from sanitizers.extension import PROJECT, Built, build
from sanitizers.planted import BUGS, prove

TARGETS = {"resample": 256, "percentiles": 64, "binding": 600}
"""Each target and the longest input that it can make use of."""

_EXECUTED = re.compile(r"^stat::number_of_executed_units: (\d+)$", re.MULTILINE)


def find_clang() -> str:
    """The C++ compiler that brings libFuzzer: CXX, or the newest Clang."""
    names = [os.environ.get("CXX", ""), "clang++", *(f"clang++-{version}" for version in range(30, 13, -1))]
    for name in names:
        if "clang" in name and shutil.which(name):
            return name
    sys.exit("no clang++: install it with its runtime (Debian: clang-14 libclang-rt-14-dev), or name it in CXX")


def atheris_environment(built: Built) -> dict[str, str]:
    """A Python that has loaded atheris's libFuzzer and AddressSanitizer before the extension asks for them."""
    found = importlib.util.find_spec("atheris")
    if found is None or found.origin is None:
        sys.exit("atheris is not installed: `pip install atheris`, or leave the target `binding` out")
    runtime = Path(found.origin).parents[1] / "asan_with_fuzzer.so"
    return built.environment(LD_PRELOAD=str(runtime), ASAN_OPTIONS="detect_leaks=0", PYTHONMALLOC="malloc")


def fuzz(target: str, built: Built, limit: list[str]) -> bool:
    """Run one target, say how many inputs it tried, and return whether it found nothing."""
    folder = built.folder
    command, environment = [str(folder / f"fuzz_{target}")], built.environment()
    if target == "binding":
        command = [sys.executable, str(PROJECT / "tests" / "fuzz" / "binding.py")]
        environment = atheris_environment(built)
        for bug in BUGS["address"] + BUGS["undefined"]:
            prove(bug, environment)
        built.check_that_it_is_imported(environment)
    corpus, findings, log = folder / "corpus" / target, folder / "findings", folder / f"{target}.log"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    started = [folder / "seeds" / target] if (folder / "seeds" / target).is_dir() else []
    options = [*limit, f"-max_len={TARGETS[target]}", "-print_final_stats=1", f"-artifact_prefix={findings}/{target}-"]
    options.append("-entropic=0")  # to weigh seeds takes a third of the time
    print(f"{target}: fuzzing; tail -f {log}", flush=True)
    begin = time.monotonic()
    with log.open("w") as output:
        arguments = [*command, *options, str(corpus), *map(str, started)]
        ended = subprocess.run(arguments, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(errors="replace")
    executed = _EXECUTED.search(text)
    clean = ended.returncode == 0 and executed is not None
    count = executed[1] if executed else "an unknown number of"
    verdict = "nothing found" if clean else f"FOUND SOMETHING, exit {ended.returncode}"
    print(f"{target}: {count} inputs in {time.monotonic() - begin:.0f} s, {verdict}", flush=True)
    if not clean:
        print(text[-6000:], f"once more: {' '.join(command)} FILE, with a file of {findings}", sep="\n", flush=True)
    return clean


def main() -> None:
    """Build, write the seeds, fuzz one target after the other."""
    parser = argparse.ArgumentParser(prog="fuzz.run", description=(__doc__ or "").partition("\n")[0])
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--seconds", type=int, default=10, help="for each target (10)")
    group.add_argument("--runs", type=int, help="inputs for each target, in place of a time")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one; may be repeated")
    options = parser.parse_args()
    limit = [f"-runs={options.runs}"] if options.runs else [f"-max_total_time={options.seconds}"]
    built = build("fuzz", find_clang(), ["address", "undefined"], "-DMEDPLUG_FUZZ=ON", "-DMEDPLUG_PLANTED_BUG=ON")
    seeds.write(built.folder / "seeds")
    clean = [fuzz(target, built, limit) for target in options.target or TARGETS]
    sys.exit(0 if all(clean) else 1)


if __name__ == "__main__":
    main()
