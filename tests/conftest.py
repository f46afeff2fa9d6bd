"""Settings of the whole suite: widgets are tested without a display unless one is asked for."""

import gc
import itertools
import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

_REST_MS = 400

# As in the program (collector.py): what a test leaves behind is never destroyed in a lane's thread of a later one.
gc.disable()
_TESTS_BETWEEN_FULL_COLLECTIONS = 20
_num_tests = itertools.count(1)


def pytest_collection_finish() -> None:
    """What the modules hold stays: no collection need look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    yield
    gc.collect(2 if next(_num_tests) % _TESTS_BETWEEN_FULL_COLLECTIONS == 0 else 1)


@pytest.fixture(autouse=True)
def _short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window saves masks when the hand has rested: for tests it need not rest as long."""
    autosave = sys.modules.get("pspnet_studio.model.autosave")
    if autosave is not None:
        monkeypatch.setattr(autosave, "_IDLE_MS", _REST_MS)
        monkeypatch.setattr(autosave, "_PROJECT_MS", _REST_MS)
