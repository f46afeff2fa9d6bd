"""How much the live head goes by what a version says. Imports no torch."""

from __future__ import annotations

import numpy as np

from pspnet_core.types import UNLABELLED, ClassMap

_TRUSTED_IMAGES = 4  # from which a version learned, at which it counts half beside rows of earlier images
_DOUBTED = 0.02  # share of the image that a hand had to put right at which the prior counts half


def trust_in(num_images: int | None) -> float:
    """How much a version counts beside rows of earlier images, before a hand has put anything right.

    Args:
        num_images: From which it learned; None where nobody knows, as of imported ones: these count in full.
    """
    return 1.0 if num_images is None else num_images / (num_images + _TRUSTED_IMAGES)


def belief(said: ClassMap, marked: ClassMap, erased: ClassMap | None) -> float:
    """By how much a prior counts: the less, the more of the image a hand had to put right.

    A version that knows little of such an image would otherwise hold against every stroke, everywhere.

    Args:
        said: (cells) uint8, the classes of the prior.
        marked: (cells) uint8 class ids, 255 where nothing is marked.
        erased: (cells) uint8 class ids that were taken away, 255 elsewhere.

    Returns:
        Over 0, up to 1; a factor of the prior's logits.
    """
    num_wrong = np.count_nonzero((marked != UNLABELLED) & (marked != said))
    if erased is not None:
        num_wrong += np.count_nonzero((erased != UNLABELLED) & (erased == said))
    return 1 / (1 + num_wrong / (_DOUBTED * said.size))
