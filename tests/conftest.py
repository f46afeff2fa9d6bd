"""Settings of the whole suite: widgets are tested without a display unless one is asked for."""

import os
import sys

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

_REST_MS = 400


@pytest.fixture(autouse=True)
def _short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window saves masks when the hand has rested: for tests it need not rest as long."""
    autosave = sys.modules.get("pspnet_studio.model.autosave")
    if autosave is not None:
        monkeypatch.setattr(autosave, "_IDLE_MS", _REST_MS)
        monkeypatch.setattr(autosave, "_PROJECT_MS", _REST_MS)
