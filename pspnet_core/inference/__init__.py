"""Prediction with trained networks. Names are loaded on first use, because :class:`Predictor` needs torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pspnet_core.inference.logits import LogitGrid
    from pspnet_core.inference.predictor import Predicted, Predictor, WindowDone

__all__ = ["LogitGrid", "Predicted", "Predictor", "WindowDone"]

_HOMES = {"LogitGrid": "logits", "Predicted": "predictor", "Predictor": "predictor", "WindowDone": "predictor"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
