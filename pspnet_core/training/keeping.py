"""Keeps the state of a run in its file while it runs, and finds it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from pspnet_core.errors import StorageError
from pspnet_core.training.config import TrainConfig
from pspnet_core.training.distributed import Group
from pspnet_core.training.events import Adjusted, Phase, TrainEvent
from pspnet_core.training.run_state import RunState, StateError, fingerprint, read_state, write_state

_SHARE = 0.02  # of the time, at most, for writing


class Keeper:
    """The state file of a run; without one it does nothing.

    Args:
        config: Of the run.
        group: Its processes; the first one reads and writes.
    """

    def __init__(self, config: TrainConfig, group: Group) -> None:
        self._path = config.state_file if group.is_first else None
        self._period_s = self._wait_s = config.state_period_s
        self._fingerprint = fingerprint(config) if self._path is not None else ""
        self._kept_s = time.monotonic()
        self._trouble = ""

    def found(self) -> Generator[TrainEvent, None, RunState | None]:
        """The state to go on from; None where there is none, or none that fits, which is told."""
        if self._path is None or not self._path.exists():
            return None
        reading = read_state(self._path, self._fingerprint)
        while True:
            try:
                next(reading)
            except StopIteration as stop:
                state: RunState = stop.value
                return state
            except StateError as error:
                yield Adjusted("state", f"{error.title} Training starts anew.")
                return None
            yield Phase("read", 0.0)

    def keep(
        self, make: Callable[[], tuple[dict[str, Any], dict[str, Any]]], fraction: float
    ) -> Generator[TrainEvent, None, None]:
        """Write the state, if it is time. Where that fails training goes on, which is told once.

        Args:
            make: Record and tensors, not to be changed until this ends.
            fraction: For the signs of life.
        """
        if self._path is None or time.monotonic() - self._kept_s < self._wait_s:
            return
        record, tensors = make()
        start_s = time.monotonic()
        try:
            for _ in write_state(self._path, RunState({**record, "fingerprint": self._fingerprint}, tensors)):
                yielded_s = time.monotonic()
                yield Phase("train", fraction)
                start_s += time.monotonic() - yielded_s  # that was somebody else's time
            self._trouble = ""
        except StorageError as error:
            if error.title != self._trouble:
                self._trouble = error.title
                yield Adjusted("state", f"{error.title} Training goes on, but could not be resumed after a crash.")
        self._kept_s = time.monotonic()
        if self._period_s > 0:
            self._wait_s = max(self._period_s, (self._kept_s - start_s) / _SHARE)
