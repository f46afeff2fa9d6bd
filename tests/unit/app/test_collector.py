"""Garbage is collected in the GUI thread alone."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

from pytestqt.qtbot import QtBot

from pspnet_studio.collector import Collector, collect_due
from pspnet_studio.jobs.runner import Lane, Priority
from pspnet_studio.jobs.warmup import prepare_torch
from tests.helpers.studio import running_studio


class _Cycle:
    """Tells in which thread it was destroyed."""

    def __init__(self, ended_in: list[str]) -> None:
        self.me, self._ended_in = self, ended_in

    def __del__(self) -> None:
        self._ended_in.append(threading.current_thread().name)


def test_a_lane_never_destroys_what_the_window_left(qtbot: QtBot, tmp_path: Path) -> None:
    gc.enable()  # as a fresh interpreter has it
    ended_in: list[str] = []
    with running_studio(qtbot, tmp_path / "settings.ini") as studio:
        assert not gc.isenabled()
        _Cycle(ended_in)

        def allocate() -> list[list[int]]:
            return [[number] for number in range(200_000)]

        done: list[object] = []
        studio.runner.call(Lane.IO, allocate, name="allocating", priority=Priority.OPEN, on_done=done.append)
        qtbot.waitUntil(lambda: bool(done), timeout=10_000)
        gc.collect()
    assert ended_in == [threading.main_thread().name]


def test_the_timer_collects(qtbot: QtBot) -> None:
    collector = Collector()
    ended_in: list[str] = []
    _Cycle(ended_in)
    held = [[number] for number in range(5_000)]
    qtbot.waitUntil(lambda: bool(ended_in), timeout=5_000)
    assert len(held) == 5_000
    assert collector is not None


def test_nothing_is_collected_before_it_is_due() -> None:
    gc.collect()
    ended_in: list[str] = []
    _Cycle(ended_in)
    collect_due()
    assert not ended_in
    gc.collect()
    assert ended_in


def test_torch_is_frozen_once_and_garbage_is_not() -> None:
    import torch

    assert torch is not None
    before = gc.get_freeze_count()
    prepare_torch()
    assert gc.get_freeze_count() <= before
