"""The first thing that happens in the torch lane."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import platform
import sys
from pathlib import Path

from pspnet_core.cores import num_cores


def prepare_torch() -> None:
    """Import torch in the lane's thread and leave a core to the window.

    The import holds the interpreter for a moment once; it starts after the first paint.
    """
    _load_without_the_interpreter()
    # The several 100,000 objects of torch's modules live for ever. A look of the garbage collector at them would hold
    # the interpreter, and with it the window, for 120 ms: none happens now (collector.py), and frozen objects are never
    # looked at. Only once: what is garbage now would be frozen too, and never freed.
    is_first = "torch" not in sys.modules
    from pspnet_core import devices

    if is_first:
        gc.freeze()
    devices.set_threads(max(1, num_cores() - 1))


def _load_without_the_interpreter() -> None:
    """Load torch's large libraries by a foreign call, which lets the window run meanwhile.

    ``import torch`` loads them while it holds the interpreter: 320 to 390 ms in one piece here, more from a cold disk,
    and 80 ms after this. They find what they need beside themselves; where a search path is set that might bring
    another CUDA, torch's own order of loading matters and everything is left to it. So it is on Windows.
    """
    if os.name != "posix" or os.environ.get("LD_LIBRARY_PATH"):
        return
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return
    folder = Path(spec.origin).parent / "lib"
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    # What cannot be loaded this way is left to torch, which says why.
    dlopen(os.fsencode(folder / f"libtorch_global_deps{suffix}"), os.RTLD_LAZY | os.RTLD_GLOBAL)
    for name in ("libtorch_cpu", "libtorch_cuda"):
        path = folder / f"{name}{suffix}"
        if path.exists():
            dlopen(os.fsencode(path), os.RTLD_NOW)


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
