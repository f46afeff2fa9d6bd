"""The first thing that happens in the torch lane."""

from __future__ import annotations

import gc
import os
import platform


def prepare_torch() -> None:
    """Import torch in the lane's thread and leave a core to the window.

    The import holds the interpreter for a moment once; it starts after the first paint.
    """
    from pspnet_core import devices

    devices.set_threads(max(1, num_cores() - 1))
    # The several 100,000 objects of torch's modules live for ever: the collector need not look at them again, which
    # would hold the interpreter, and with it the window, for tens of milliseconds.
    gc.freeze()


def device_name(device: str) -> str:
    """What the status bar calls the device that ``device`` (for instance ``auto``) stands for.

    Raises:
        DeviceError: It is not there.
    """
    import torch

    from pspnet_core import devices

    found = devices.resolve_device(device)
    if found.type == "cuda":
        return torch.cuda.get_device_name(found)
    if found.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    return f"CPU, {torch.get_num_threads()} of {num_cores()} cores"


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
