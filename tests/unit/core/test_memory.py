"""What was freed is given back to the system."""

import sys
from pathlib import Path

import numpy as np
import pytest

from pspnet_core.memory import available_memory, give_back_free_memory, total_memory


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries give back by themselves")
def test_what_was_freed_is_given_back() -> None:
    pieces = [np.ones(100_000, np.uint8) for _ in range(1000)]
    last = pieces.pop()  # what lives behind keeps the C library from giving anything back by itself
    most = resident_mb()
    pieces.clear()
    give_back_free_memory()
    assert resident_mb() < most - 80
    assert last.all()


def test_elsewhere_nothing_is_done(monkeypatch) -> None:
    from pspnet_core import memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory._trim.__wrapped__() is None


def test_the_machine_has_memory() -> None:
    assert 0 < available_memory() <= total_memory()
