"""Where a benchmark of models ran."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import medplug

from ..machine import cpu_name, cpus
from .report import Place


def place(device: str) -> Place:
    """Describe this machine; `device` is what the networks ran on."""
    import torch

    return Place(
        cpu=cpu_name(),
        cpus=cpus(),
        system=f"{platform.system()} {platform.release().split('-')[0]}",
        device=device,
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
    )


def commit() -> str | None:
    """Return the commit of the checkout that medplug runs from, with "+" where it was changed; None without one."""
    folder = Path(str(medplug.__file__)).parent

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)

    try:
        head = git("rev-parse", "HEAD")
        if head.returncode or git("ls-files", "--error-unmatch", "__init__.py").returncode:
            return None  # no repository, or one that only holds the environment
        return head.stdout.strip() + ("+" if git("status", "--porcelain", "--", ".").stdout.strip() else "")
    except OSError:
        return None
