"""Prediction with trained networks."""

from pspnet_core.inference.predictor import Predicted, Predictor, WindowDone

__all__ = ["Predicted", "Predictor", "WindowDone"]
