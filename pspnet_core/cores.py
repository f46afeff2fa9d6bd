"""How many processors there are for this process. Needs no torch."""

from __future__ import annotations

import os


def num_cores() -> int:
    """Cores that this process may use, at least 1; all of the machine where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
