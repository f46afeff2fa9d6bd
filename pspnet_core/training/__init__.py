"""Training: :func:`fit` and its configuration. Names are loaded on first use, because ``fit`` needs torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pspnet_core.training.config import TrainConfig
    from pspnet_core.training.data import LabelledImage
    from pspnet_core.training.loop import fit

__all__ = ["LabelledImage", "TrainConfig", "fit"]

_HOMES = {"LabelledImage": "data", "TrainConfig": "config", "fit": "loop"}  # a module named fit would hide the function


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
