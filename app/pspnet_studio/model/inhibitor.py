"""Asks the desktop not to suspend while a fine-tune runs.

The system then asks the person before it suspends. Each way is a small program that ends with us, also if we crash.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys

from PySide6.QtCore import QObject, QProcess

_ES_CONTINUOUS = 0x80000000
_ES_SYSTEM_REQUIRED = 0x00000001


class SleepInhibitor(QObject):
    """Holds and releases the system's sleep lock; where there is none, nothing happens."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None

    @property
    def is_held(self) -> bool:
        """Whether a helper process keeps the lock."""
        return self._process is not None and self._process.state() != QProcess.ProcessState.NotRunning

    def hold(self) -> None:
        """Take the lock."""
        if sys.platform == "win32":
            ctypes.windll.kernel32.SetThreadExecutionState(_ES_CONTINUOUS | _ES_SYSTEM_REQUIRED)
            return
        command = inhibit_command(sys.platform, os.getpid())
        if command is None or self.is_held or shutil.which(command[0]) is None:
            return
        self._process = QProcess(self)
        self._process.start(command[0], command[1:])

    def release(self, *_: object) -> None:
        """Give the lock back."""
        if sys.platform == "win32":
            ctypes.windll.kernel32.SetThreadExecutionState(_ES_CONTINUOUS)
            return
        if self._process is None:
            return
        process, self._process = self._process, None
        process.closeWriteChannel()
        process.kill()
        process.waitForFinished(200)
        process.deleteLater()


def inhibit_command(platform: str, pid: int) -> list[str] | None:
    """The program that holds the lock; on Linux it ends when its input, which is our pipe, closes."""
    if platform == "darwin":
        return ["caffeinate", "-i", "-s", "-w", str(pid)]
    if platform.startswith("linux"):
        return [
            "systemd-inhibit",
            "--what=sleep:idle",
            "--mode=block",
            "--who=PSPNet Studio",
            "--why=A fine-tune is running",
            "cat",
        ]
    return None
