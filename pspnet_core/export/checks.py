"""Whether an exported network computes what the network computes, at sizes that the exporter has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pspnet_core.errors import CheckpointError

SIZES = ((1, 65, 99), (2, 127, 64), (1, 192, 131))
"""(N, H, W) that are looked at: batches of one and two, odd and even, smaller and larger than the example."""

TOLERANCE = 1e-4
"""Largest difference of two logits up to :data:`LARGE`."""

LARGE = 10.0
"""Largest logit up to which :data:`TOLERANCE` holds. Beyond, it grows with them: float32 has 7 digits, of which long
sums in a row leave 5."""

MIN_EQUAL = 0.999
"""Share of pixels that must get the same class: what a small difference is worth where logits are small, too."""


@dataclass(frozen=True, slots=True)
class SizeCheck:
    """How both networks agree on one input.

    Attributes:
        height: H, pixels.
        width: W, pixels.
        batch: N.
        max_difference: Largest difference of two logits.
        scale: Largest absolute logit.
        equal_argmax: Share of pixels with the same class, 0 to 1.
    """

    height: int
    width: int
    batch: int
    max_difference: float
    scale: float
    equal_argmax: float

    @property
    def tolerance(self) -> float:
        """Largest difference that can be rounding."""
        return TOLERANCE * max(1.0, self.scale / LARGE)

    @property
    def is_equal(self) -> bool:
        """Whether the difference is rounding; NaN is not."""
        return self.max_difference <= self.tolerance and self.equal_argmax >= MIN_EQUAL

    def to_json(self) -> dict[str, Any]:
        """One line of the log."""
        return {"event": "checked", **asdict(self)}


def check_sizes(
    network: nn.Module, exported: Callable[[Tensor], Tensor], sizes: Sequence[tuple[int, int, int]] = SIZES
) -> Iterator[SizeCheck]:
    """Compare at each of ``sizes``.

    Args:
        network: (N, 3, H, W) -> (N, K, H, W).
        exported: The same, by another program.
        sizes: (N, H, W).

    Yields:
        One check a size that is equal up to rounding.

    Raises:
        CheckpointError: One is not.
    """
    for batch, height, width in sizes:
        image = example_image(batch, height, width)
        with torch.no_grad():
            check = compare(network(image), exported(image))
        if not check.is_equal:
            raise _different(check)
        yield check


def compare(expected: Tensor, found: Tensor) -> SizeCheck:
    """Two (N, K, H, W) logits. Raises: CheckpointError when their shapes differ."""
    batch, _, height, width = expected.shape
    if found.shape != expected.shape:
        raise CheckpointError(
            "The exported network computes something else, so it was not written.",
            f"At {width} x {height}, batch {batch}: logits of shape {tuple(found.shape)}, "
            f"expected {tuple(expected.shape)}.",
            "Please report it with the checkpoint.",
        )
    same = expected.argmax(1) == found.argmax(1)
    return SizeCheck(
        height,
        width,
        batch,
        float((expected - found).abs().max()),
        float(expected.abs().max()),
        float(same.double().mean()),
    )


def example_image(batch: int, height: int, width: int) -> Tensor:
    """(N, 3, H, W) float32, -1 to 1: bright and dark areas of all sizes, always the same.

    Mere noise would not do: its average is the same everywhere, so that wrongly pooled areas would go unnoticed.
    """
    generator = torch.Generator().manual_seed(batch * height * width)
    image = torch.zeros(batch, 3, height, width)
    for side in (2, 5, 16):
        areas = torch.rand(batch, 3, side, side, generator=generator)
        image += F.interpolate(areas, size=(height, width), mode="bilinear", align_corners=False)
    return image.sub_(1.5).div_(1.5)


def _different(check: SizeCheck) -> CheckpointError:
    return CheckpointError(
        "The exported network computes something else, so it was not written.",
        f"At {check.width} x {check.height}, batch {check.batch}: logits differ by {check.max_difference:.3g} where "
        f"the largest is {check.scale:.3g}; expected at most {check.tolerance:.3g}. {check.equal_argmax:.2%} of the "
        f"pixels get the same class; expected at least {MIN_EQUAL:.1%}.",
        "Please report it with the checkpoint.",
    )
