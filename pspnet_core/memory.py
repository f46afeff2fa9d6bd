"""How much memory the machine has."""

from __future__ import annotations

import os
from pathlib import Path


def available_memory() -> int | None:
    """Bytes of memory that programs can still get; None where the system does not tell."""
    available = _meminfo("MemAvailable:")
    return available if available is not None else _pages("SC_AVPHYS_PAGES")


def total_memory() -> int | None:
    """Bytes of memory in the machine; None where the system does not tell."""
    total = _meminfo("MemTotal:")
    return total if total is not None else _pages("SC_PHYS_PAGES")


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
