"""What versions learned from, and what was kept from them, as their records tell. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pspnet_core.atomic import write_json

_STUDIO = "studio"  # as the importer calls checkpoints of this program


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one version, or several together, learned from and did not.

    Attributes:
        trained: Keys of the items that were learned from.
        held_items: Keys of the items that were held out as a whole.
        held_blocks: Item key -> numbers of the blocks of it that were held out.
    """

    trained: frozenset[str] = frozenset()
    held_items: frozenset[str] = frozenset()
    held_blocks: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def unlearned(self, key: str) -> frozenset[int] | None:
        """The blocks of an item that nothing was learned from; None for all of it."""
        return self.held_blocks.get(key, frozenset()) if key in self.trained else None

    def to_json(self) -> dict[str, Any]:
        """The fields of a version's record that tell it."""
        return {
            "trained_items": sorted(self.trained),
            "held_items": sorted(self.held_items),
            "holdout_blocks": {key: sorted(blocks) for key, blocks in sorted(self.held_blocks.items())},
        }

    def after(self, earlier: Exposure) -> Exposure:
        """What a version learned from that started from another, and what neither did.

        Args:
            earlier: Of the version that it started from.
        """
        trained = self.trained | earlier.trained
        blocks = {key: some for key, some in self.held_blocks.items() if key not in trained}
        for key in trained:
            mine, theirs = self.unlearned(key), earlier.unlearned(key)
            if mine is None or theirs is None:
                both = theirs if mine is None else mine
            else:
                both = mine & theirs
            if both:
                blocks[key] = both
        return Exposure(trained, self.held_items - trained, blocks)

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Exposure | None:
        """Inverse of :meth:`to_json`; None when the record is damaged or does not tell."""
        try:
            blocks = {str(key): frozenset(map(int, some)) for key, some in record["holdout_blocks"].items()}
            return Exposure(frozenset(record["trained_items"]), frozenset(record["held_items"]), blocks)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def projects_of(origin: Mapping[str, Any]) -> frozenset[str] | None:
    """Projects that a checkpoint learned from, itself or what it started from, by their ids.

    Args:
        origin: Of the checkpoint.

    Returns:
        Empty for a publisher's network; None when it does not tell.
    """
    if "projects" in origin:
        found = origin["projects"]
        return frozenset(map(str, found)) if isinstance(found, list) else None
    if "project" in origin:  # of a fine-tune before "projects" was written
        init = origin.get("init")
        started_elsewhere = isinstance(init, Mapping) and init.get("version") is not None
        return None if started_elsewhere else frozenset([str(origin["project"])])
    report = origin.get("import")
    while isinstance(report, Mapping) and isinstance(report.get("before"), Mapping):
        report = report["before"]  # one of ours that is an import, not trained since
    is_published = isinstance(report, Mapping) and report.get("publisher") not in (None, _STUDIO)
    return frozenset() if is_published and "init" not in origin else None


def learned_also(origin: Mapping[str, Any] | None, project: str | None) -> list[str] | None:
    """The entry ``projects`` of the origin of what is trained now, as :func:`projects_of` reads it.

    Args:
        origin: Of the checkpoint to start from; None when it starts from ImageNet or from nothing.
        project: Id of the project whose labels are learned; None when they are of no project.
    """
    before = frozenset() if origin is None else projects_of(origin)
    return None if before is None or project is None else sorted(before | {project})


def merged(exposures: Iterable[Exposure]) -> Exposure:
    """All that any of several versions learned from, and what was held out when each item was last used.

    Args:
        exposures: Of the versions, oldest first.
    """
    trained: frozenset[str] = frozenset()
    items: frozenset[str] = frozenset()
    blocks: dict[str, frozenset[int]] = {}
    for exposure in exposures:
        trained |= exposure.trained
        items = (items - exposure.trained) | exposure.held_items
        blocks = {key: some for key, some in blocks.items() if key not in exposure.trained} | dict(exposure.held_blocks)
    return Exposure(trained, items, blocks)


def read_exposure(path: Path) -> Exposure:
    """What :func:`write_exposure` wrote; of nothing when the file is missing or damaged: the versions still tell."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return Exposure()
    return (Exposure.from_json(data) if isinstance(data, dict) else None) or Exposure()


def write_exposure(path: Path, exposure: Exposure) -> None:
    """Keep what was held out, and learned from, also when versions are deleted. Raises: StorageError."""
    write_json(path, exposure.to_json())
