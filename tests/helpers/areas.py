"""Areas in tests: put back into an image, with what must hold of every one of them checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pspnet_core.imaging.areas import Area
from pspnet_core.types import Rect


def paste(area: Area, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The area as a mask of an image of ``shape``, after a check that it is tight and inside of the image."""
    rect, mask = area
    assert mask.dtype == np.bool_
    assert mask.shape == (rect.h, rect.w)
    assert all(isinstance(value, int) for value in rect)
    if rect.is_empty:
        assert rect == Rect(0, 0, 0, 0)
    else:
        assert rect.intersect(Rect(0, 0, shape[1], shape[0])) == rect, "outside the image"
        assert mask.any(axis=0)[[0, -1]].all(), "rectangle is not tight"
        assert mask.any(axis=1)[[0, -1]].all(), "rectangle is not tight"
    out = np.zeros(shape, bool)
    out[rect.slices] = mask
    return out
