"""What versions learned from, and what was kept from them, as their records tell. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


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

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Exposure | None:
        """Inverse of :meth:`to_json`; None when the record is damaged or does not tell."""
        try:
            blocks = {str(key): frozenset(map(int, some)) for key, some in record["holdout_blocks"].items()}
            return Exposure(frozenset(record["trained_items"]), frozenset(record["held_items"]), blocks)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


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
