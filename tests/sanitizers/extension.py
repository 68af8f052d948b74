"""Builds the extension with sanitizers into build/, beside a copy of the package: the installed one is left alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Built:
    """A build with sanitizers: `folder` holds the binaries, `packages` an importable medplug."""

    folder: Path
    packages: Path

    def environment(self, **more: str) -> dict[str, str]:
        """This process's environment, in which Python finds this build's modules before any other."""
        path = os.pathsep.join(map(str, [self.packages, self.folder, PROJECT / "tests"]))
        return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **more}

    def check_that_it_is_imported(self, environment: Mapping[str, str]) -> None:
        """End the program where another build shadows this one, as an editable install may."""
        code = "import medplug._kernels as kernels; print(kernels.__file__)"
        found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd="/")
        if found.returncode != 0:
            sys.exit(f"the sanitized extension cannot be imported:\n{found.stderr}")
        if self.packages not in Path(found.stdout.strip()).parents:
            sys.exit(f"{found.stdout.strip()} is imported, not the build in {self.packages}: uninstall medplug here")


def build(name: str, compiler: str, sanitizers: Sequence[str], *options: str) -> Built:
    """Build in build/NAME, anew where the sources changed; needs cmake, ninja and pybind11."""
    folder = PROJECT / "build" / name
    packages = folder / "packages"
    cmake_folder = [sys.executable, "-m", "pybind11", "--cmakedir"]
    pybind11 = subprocess.run(cmake_folder, check=True, capture_output=True, text=True).stdout.strip()
    configure = [
        *("cmake", "-G", "Ninja", "-S", str(PROJECT), "-B", str(folder)),
        f"-DCMAKE_CXX_COMPILER={compiler}",
        f"-DMEDPLUG_SANITIZE={';'.join(sanitizers)}",
        f"-Dpybind11_DIR={pybind11}",
        f"-DPython_EXECUTABLE={sys.executable}",
        "-DPYBIND11_FINDPYTHON=ON",
        *options,
    ]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(folder)], check=True)
    shutil.rmtree(packages, ignore_errors=True)
    unbuilt = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(PROJECT / "medplug", packages / "medplug", ignore=unbuilt)
    install = ["cmake", "--install", str(folder), "--prefix", str(packages)]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    return Built(folder, packages)


def library(compiler: str, name: str) -> str:
    """The path of a library that a compiler brings, as for LD_PRELOAD."""
    asked = [compiler, f"-print-file-name={name}"]
    path = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    if not path.is_absolute():
        sys.exit(f"{compiler} has no {name}: install its sanitizer libraries (Debian: libgcc-12-dev)")
    return str(path.resolve())
