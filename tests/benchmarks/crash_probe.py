"""The program that is killed: a person paints, goes back, changes the image, saves and exports until the end comes.

    python -m tests.benchmarks.crash_probe FOLDER SEED [--record LOG] [--train]

One JSON line on stdout after each action: the item, when, digests of both planes, and the depth of its history.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings, Qt, QTimer

from pspnet_core.project.replay import digests_of
from pspnet_studio.bootstrap import Studio, bootstrap
from tests.benchmarks.crash_disk import record
from tests.helpers.hand import Hand

_PAUSE_MS = 12
_EXPORT_EVERY = 40


class Person:
    """Does one thing after the other."""

    def __init__(self, studio: Studio, seed: int, is_training: bool) -> None:
        self._studio, self._rng, self._is_training = studio, random.Random(seed), is_training
        self._hand = Hand(studio.window.canvas)
        self._count = 0
        self._timer = QTimer(interval=_PAUSE_MS)
        self._timer.timeout.connect(self._act)
        self._timer.start()

    def _act(self) -> None:
        session = self._studio.session
        document = session.document
        if document is None:
            return
        choice = self._rng.random()
        is_stroke = choice < 0.75
        if is_stroke:
            self._stroke(document.rect.w, document.rect.h)
        elif choice < 0.85:
            document.undo()
        elif choice < 0.9:
            document.redo()
        elif choice < 0.94:
            session.save_now()
        elif choice < 0.97 and self._count > 8:
            session.step(self._rng.choice((-1, 1)))
        elif choice < 0.98:
            session.rescan()
        self._count += 1
        self._tell(document, is_stroke)
        if self._count % _EXPORT_EVERY == 0:
            self._export()
        if self._count == _EXPORT_EVERY and self._is_training:
            self._studio.window.commands.start_training()

    def _stroke(self, width: int, height: int) -> None:
        rng, state = self._rng, self._studio.tool_state
        state.set_tool("eraser" if rng.random() < 0.15 else "brush")
        state.set_diameter(rng.randrange(3, 40))
        state.set_class_id(rng.choice(self._studio.session.project.classes.indices))  # type: ignore[union-attr]
        self._hand.stroke(*((rng.random() * width, rng.random() * height) for _ in range(rng.randrange(2, 6))))

    def _export(self) -> None:
        from pspnet_core.export.masks import export_masks
        from pspnet_studio.jobs.runner import Lane, Priority

        project, target = self._studio.session.project, Path(tempfile.mkdtemp())
        assert project is not None
        job = lambda: export_masks(project, target)  # noqa: E731
        self._studio.runner.submit(Lane.IO, job, name="export", priority=Priority.PREFETCH)

    def _tell(self, document: Any, is_stroke: bool) -> None:
        digests = digests_of(document.class_plane, document.provenance_plane)
        depth = document.history.journal.position.depth
        line = {"item": document.item_key, "at_s": time.monotonic(), "digests": digests, "depth": depth}
        line["is_stroke"] = is_stroke
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Never returns of itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--train", action="store_true")
    options = parser.parse_args()
    settings = QSettings(str(Path(tempfile.mkdtemp()) / "settings.ini"), QSettings.Format.IniFormat)
    studio = bootstrap(["crash"], settings_store=settings, device="cpu", seed=options.seed)
    studio.window.resize(900, 700)
    studio.window.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
    studio.window.show()
    if options.record is not None:
        record(options.folder, options.record)
    studio.session.open_folder(options.folder)
    person = Person(studio, options.seed, options.train)
    assert person is not None
    os._exit(studio.application.exec())


if __name__ == "__main__":
    main()
