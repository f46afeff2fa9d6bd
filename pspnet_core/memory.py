"""How much memory the machine has, and giving back what was freed."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any


def available_memory() -> int | None:
    """Bytes of memory that programs can still get; None where the system does not tell."""
    available = _meminfo("MemAvailable:")
    return available if available is not None else _pages("SC_AVPHYS_PAGES")


def total_memory() -> int | None:
    """Bytes of memory in the machine; None where the system does not tell."""
    total = _meminfo("MemTotal:")
    return total if total is not None else _pages("SC_PHYS_PAGES")


def give_back_free_memory() -> None:
    """Let the system have what was freed and is kept for later; call it after much was let go of.

    The GNU C library keeps freed pieces below 32 MB for itself where anything lives behind them, for ever if need be:
    after an hour of painting a large image that was as much memory as the image. It takes milliseconds, more where
    there is more to give. Where the C library is another one, nothing is done: the others give back by themselves.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


def _meminfo(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def _pages(name: str) -> int | None:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


@cache
def _trim() -> Any | None:
    """``malloc_trim`` of the C library, if it has one."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
