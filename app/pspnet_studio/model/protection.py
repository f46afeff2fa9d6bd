"""Which pixels tools may change: not those of locked classes, nor labelled ones while only others are painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pspnet_core.types import UNLABELLED, BoolMask, ClassMap


@dataclass(frozen=True, slots=True)
class Protection:
    """What keeps tools off pixels.

    Attributes:
        locked: Classes whose pixels stay as they are.
        only_unlabelled: Whether pixels of all classes do.
        is_read_only: Whether all pixels do.
    """

    locked: frozenset[int] = frozenset()
    only_unlabelled: bool = False
    is_read_only: bool = False

    @property
    def is_on(self) -> bool:
        """Whether anything is kept off."""
        return bool(self.locked) or self.only_unlabelled or self.is_read_only

    def allowed(self, classes: ClassMap) -> BoolMask:
        """(H, W) bool: the pixels that a tool may change, for their class ids (H, W) uint8; a new array."""
        if self.only_unlabelled and not self.is_read_only:
            unlabelled: BoolMask = classes == UNLABELLED
            return unlabelled
        return self.unlocked(classes)

    def unlocked(self, classes: ClassMap) -> BoolMask:
        """(H, W) bool: the pixels that are of no locked class; a new array."""
        if self.is_read_only:
            return np.zeros(classes.shape, np.bool_)
        # Brushes ask at every move: a comparison a class takes less time than a look-up table does.
        mask = np.ones(classes.shape, np.bool_)
        for class_id in self.locked:
            mask &= classes != class_id
        return mask
