"""Strokes in a project without a window: what a session does to an item, with crashes wherever a test wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pspnet_core.classes import ClassSet
from pspnet_core.imaging.patch import MaskPatch, PatchBlock
from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.project.journal import DEFAULT_BUDGET_BYTES, Journal, save_planes
from pspnet_core.project.project import Notice, Project
from pspnet_core.project.replay import Replay
from pspnet_core.types import Provenance, Rect

KEY = "a.png"
SIDE = 40


def make_project(root: Path, side: int = SIDE) -> Project:
    """A folder with one grey image, and two classes."""
    root.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side, 3), 90, np.uint8)).save(root / KEY)
    project = Project.open(root)
    project.set_classes(ClassSet().add("ground").add("thing").add("sky"))
    project.save()
    return project


class Hand:
    """One session that paints on one item, as a document would, until it ends or crashes."""

    def __init__(self, root: Path, side: int = SIDE, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self.side = side
        self.project = Project.open(root)
        self.item = self.project.item(KEY)
        annotation = self.project.load_annotation(self.item, side, side)
        self.notices: tuple[Notice, ...] = annotation.notices
        self.found = annotation.replay or Replay()
        self.planes = (
            PlaneStore.from_array(annotation.class_map, 255),
            PlaneStore.from_array(annotation.provenance, Provenance.UNTOUCHED),
        )
        self.entries = [MaskPatch.from_bytes(record.payload) for record in self.found.records]
        self.first, self.depth = self.found.first, self.found.depth
        snapshots = self.planes[0].snapshot(), self.planes[1].snapshot()
        self.journal = Journal(
            self.project.home, KEY, self.project.session, self.found, snapshots, budget_bytes=budget_bytes
        )

    @property
    def state(self) -> tuple[bytes, bytes, int]:
        """All pixels, and how deep in the history they are."""
        return self.planes[0].to_array().tobytes(), self.planes[1].to_array().tobytes(), self.depth

    @property
    def can_undo(self) -> int:
        """How many strokes can be taken back."""
        return self.depth - self.first

    @property
    def can_redo(self) -> int:
        """How many can be done again."""
        return len(self.entries) - self.can_undo

    def stroke(self, x: int, y: int, size: int, class_id: int) -> bool:
        """Paint a square; False when that changes nothing."""
        rect = Rect(x, y, size, size).intersect(self.planes[0].rect)
        old = [plane.read(rect) for plane in self.planes]
        source = Provenance.ERASED if class_id == 255 else Provenance.PAINTED
        new = [np.full_like(old[0], class_id), np.full_like(old[0], source)]
        patch = MaskPatch.of(KEY, "brush", [PatchBlock.between(rect, old[0], new[0], old[1], new[1])])
        if patch is None:
            return False
        patch.apply(*self.planes)
        del self.entries[self.can_undo :]
        self.entries.append(patch)
        self.depth += 1
        self.journal.push(patch, self.depth)
        return True

    def go(self, depth: int) -> None:
        """Undo or redo to a depth."""
        done = []
        while self.depth > depth:
            self.depth -= 1
            done.append((self.entries[self.depth - self.first], False))
            done[-1][0].revert(*self.planes)
        while self.depth < depth:
            done.append((self.entries[self.depth - self.first], True))
            done[-1][0].apply(*self.planes)
            self.depth += 1
        self.journal.go(depth, done)

    def write(self) -> None:
        """Bring the journal to the disk."""
        self.journal.write()

    def save(self) -> None:
        """Save both planes."""
        snapshots = self.planes[0].snapshot(), self.planes[1].snapshot()
        save_planes(self.project, self.item, *snapshots, self.journal, self.journal.position)

    def end(self) -> None:
        """The process is gone: what it held open is let go of, and nothing else happens."""
        self.journal.release()


def journal_files(root: Path) -> list[Path]:
    """All journals of the item."""
    return sorted((root / ".pspnet-studio" / "journal" / KEY).iterdir())
