"""What a measurement ran on: a time without its machine says nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe(device: str) -> dict[str, str | int]:
    """System, processor, cores, PyTorch and its threads, and the device a network runs on."""
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": name,
    }


def _processor() -> str:
    """The processor's own name where Linux tells it, else what Python knows."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
