"""The training images that were read so far, and the crops drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from pspnet_core.errors import TrainingError
from pspnet_core.training.augment import random_crop
from pspnet_core.training.config import Recipe
from pspnet_core.training.data import LabelledCache, LabelledImage
from pspnet_core.training.sampler import AnchorSampler
from pspnet_core.types import UNLABELLED, ClassMap, RgbImage

_TRIES_PER_CROP = 10
_ORDER, _ANCHORS, _CROP = range(3)  # streams of random numbers
_PX_PER_FILE = 1 << 18  # pixels that take as long to decode as it takes to find and open a file


class ImagePool:
    """Reads images one by one, in random order, and draws crops from those that it has.

    Every crop has a random generator of its own, from the seed and its number: a crop depends on nothing but these and
    the images that were read, so that a run can go on after an interruption, and several processes share the crops.

    Args:
        items: All images.
        cache: Loads them.
        recipe: Size and strength of the crops.
        seed: Of everything random.

    Attributes:
        cost_px: What reading so far was worth, in pixels to decode: the same everywhere, unlike seconds.
        digest: Checksum of the keys and class maps read so far.
    """

    def __init__(self, items: Sequence[LabelledImage], cache: LabelledCache, recipe: Recipe, seed: int) -> None:
        self._cache, self._recipe, self._seed = cache, recipe, seed
        order = np.random.default_rng([seed, _ORDER]).permutation(len(items))
        self._waiting = [items[int(index)] for index in order][::-1]
        self._images: list[LabelledImage] = []
        self._sampler = AnchorSampler()
        self._largest_px = 0
        self.cost_px = 0
        self.digest = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the images that were read."""
        return tuple(image.key for image in self._images)

    @property
    def num_images(self) -> int:
        """Images in all, read or not."""
        return len(self._images) + len(self._waiting)

    @property
    def is_complete(self) -> bool:
        """Whether all were read."""
        return not self._waiting

    @property
    def counts(self) -> dict[int, int]:
        """Class id -> labelled pixels of what was read."""
        return self._sampler.counts

    @property
    def crop_px(self) -> int:
        """Side of a crop: that of the recipe, or less while all images are smaller; a multiple of 32."""
        return min(self._recipe.crop_px, -(-self._largest_px // 32) * 32)

    def read_next(self) -> None:
        """Take in one more image. Raises: TrainingError, which names it."""
        item = self._waiting.pop()
        image, class_map = self._cache.get(item)
        self._sampler.add(
            len(self._images), class_map, np.random.default_rng([self._seed, _ANCHORS, len(self._images)])
        )
        self._images.append(item)
        self.cost_px += class_map.size + _PX_PER_FILE
        self.digest = crc32(class_map.tobytes(), crc32(item.key.encode(), self.digest))
        self._largest_px = max(self._largest_px, *image.shape[:2])

    def crop(self, size: int, number: int) -> tuple[RgbImage, ClassMap]:
        """Random crop number ``number``, which shows the loss a labelled pixel: (S, S, 3) uint8 RGB and (S, S) uint8.

        Raises:
            TrainingError: No pixel is labelled, or an image cannot be read again.
        """
        rng = np.random.default_rng([self._seed, _CROP, number])
        for _ in range(_TRIES_PER_CROP):
            anchor = self._sampler.draw(rng)
            image, class_map = self._cache.get(self._images[anchor.image])
            accepted = self._cache.accepted(self._images[anchor.image])
            crop, labels = random_crop(image, class_map, anchor[1:], size, self._recipe, rng, accepted)
            if (labels[:: self._recipe.loss_stride, :: self._recipe.loss_stride] != UNLABELLED).any():
                return crop, labels
        raise TrainingError(
            "Too few pixels are labelled to train on.",
            f"{_TRIES_PER_CROP} crops in a row showed none; single pixels vanish when a crop is made smaller.",
            "Paint larger areas of each class, then train again.",
        )
