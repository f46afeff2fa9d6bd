"""What is shown at one pixel of an image."""

from __future__ import annotations

from typing import NamedTuple

from pspnet_core.types import Provenance


class Pixel(NamedTuple):
    """What is shown at one pixel.

    Attributes:
        class_id: 255 = nothing.
        provenance: Where it comes from; untouched: from the prediction, if there is a class.
        confidence: Of the prediction, 0 to 1, where the class is the prediction's; None elsewhere.
    """

    class_id: int
    provenance: Provenance
    confidence: float | None
