"""Sessions for developers: `nox -l` lists them, `nox -s tests` runs one."""

import nox

nox.options.sessions = ["tests", "lint", "types", "docs"]
nox.options.reuse_existing_virtualenvs = True


def install(session: nox.Session, extras: str) -> None:
    """Install the project, editable, with the tested set of versions."""
    session.install("-c", "constraints.txt", "-e", f".[{extras}]")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments go to pytest."""
    install(session, "all,test")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, Python and C++."""
    session.install("-c", "constraints.txt", "ruff", "clang-format")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run(
        "bash",
        "-c",
        "clang-format --dry-run -Werror cpp/*.[ch]pp cpp/kernels/*.[ch]pp cpp/kernels/simd/*",
        external=True,
    )


@nox.session
def types(session: nox.Session) -> None:
    """Check types, and the stub of the extension against the extension."""
    install(session, "all,test,dev")
    session.run("mypy")
    session.run("python", "-m", "mypy.stubtest", "medplug._kernels")


@nox.session
def against(session: nox.Session) -> None:
    """Compare the speed of the kernels with those of a commit: the parent, or the argument."""
    install(session, "all")
    session.run("python", "-m", "medplug.bench.against", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into docs/_build; warnings are errors."""
    install(session, "all,docs")
    session.run("sphinx-build", "-W", "-n", "docs", "docs/_build")


BUILD = ("cmake", "ninja", "numpy", "pybind11")
KERNEL_TESTS = (*BUILD, "hypothesis", "pytest", "pytest-timeout")


def run_module(session: nox.Session, module: str, *arguments: str) -> None:
    """Run a developers' command of tests/."""
    session.run("python", "-m", module, *arguments, *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def asan(session: nox.Session) -> None:
    """Run the kernel tests under AddressSanitizer, once it has caught a planted bug; arguments go to pytest."""
    session.install("-c", "constraints.txt", *KERNEL_TESTS, "pillow", "pydicom", "torch")
    run_module(session, "sanitizers.run", "address")


@nox.session
def ubsan(session: nox.Session) -> None:
    """Run the kernel tests under UndefinedBehaviorSanitizer, once it has caught planted bugs."""
    session.install("-c", "constraints.txt", *KERNEL_TESTS, "pillow", "pydicom", "torch")
    run_module(session, "sanitizers.run", "undefined")


@nox.session
def tsan(session: nox.Session) -> None:
    """Run the kernel tests, but for those that need torch, under ThreadSanitizer, once it has caught a planted race."""
    session.install("-c", "constraints.txt", *KERNEL_TESTS)
    run_module(session, "sanitizers.run", "thread")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz the kernels and their binding, 10 s each: `nox -s fuzz -- --seconds 3600` for longer."""
    session.install("-c", "constraints.txt", *BUILD, "atheris")
    run_module(session, "fuzz.run")
