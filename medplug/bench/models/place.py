"""Where a benchmark of models ran."""

from __future__ import annotations

import platform

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
