"""The Qt binding itself: a release that loses references would end the process in the middle of work."""

from __future__ import annotations

import sys

import pytest
from PySide6.QtCore import QObject, QTimer, Signal


class _Emitter(QObject):
    happened = Signal(bool)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None and True are immortal from Python 3.12 on")
def test_calls_and_emits_keep_references_of_none_and_true() -> None:
    timer, emitter = QTimer(), _Emitter()
    before = sys.getrefcount(None), sys.getrefcount(True)
    for _ in range(500):
        timer.setSingleShot(True)
        emitter.happened.emit(True)
    after = sys.getrefcount(None), sys.getrefcount(True)
    assert after[0] > before[0] - 250
    assert after[1] > before[1] - 250
