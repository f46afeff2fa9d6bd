"""What stands around fine-tuning: starting by itself, looking at the mistakes, looking at versions side by side."""

from __future__ import annotations

from dataclasses import dataclass

from pspnet_studio.model.continuous import Continuous
from pspnet_studio.model.review import Reviews
from pspnet_studio.model.version_comparison import VersionComparison


@dataclass(frozen=True, slots=True)
class Learning:
    """These three, which the window needs together."""

    continuous: Continuous
    reviews: Reviews
    comparison: VersionComparison
