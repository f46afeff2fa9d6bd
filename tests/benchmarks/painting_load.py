"""What else runs on the same cores while `painting --while-training` measures: a fine-tune and predictions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from pspnet_core.classes import ClassSet
from pspnet_studio.jobs.runner import JobRunner, Lane, Priority
from pspnet_studio.jobs.warmup import prepare_torch

if TYPE_CHECKING:
    from pspnet_core.inference import Predictor

_CLASSES = ClassSet().add("a", index=0).add("b", index=1)
_IMAGE_PX = 1024
_PAUSE_MS = 2000


class BackgroundWork:
    """A fine-tune of the default network in the torch lane, and every two seconds a prediction that goes before it."""

    def __init__(self, app: QApplication) -> None:
        self._runner = JobRunner(prepare_torch)
        self._image = np.random.default_rng(0).integers(0, 256, (_IMAGE_PX, _IMAGE_PX, 3), np.uint8)
        self._predictor: Predictor | None = None
        self.num_steps = self.num_predictions = 0
        self._runner.submit(
            Lane.TORCH, self._train, name="training", priority=Priority.TRAINING, on_event=self._on_step
        )
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._ask)
        self._ask()
        deadline = time.monotonic() + 120
        while (self.num_steps < 3 or not self.num_predictions) and time.monotonic() < deadline:
            app.processEvents()
            time.sleep(0.01)
        assert self.num_steps, "the fine-tune did not begin"
        assert self.num_predictions, "no prediction came"

    def stop(self) -> None:
        """End both."""
        self._timer.stop()
        self._runner.shutdown()

    def _train(self) -> Iterator[Any]:
        from pspnet_core.training import TrainConfig, fit
        from pspnet_core.training.data import LabelledImage

        labels = (self._image[..., 0] > 127).astype(np.uint8)
        items = [LabelledImage("a", lambda: (self._image, labels))]
        return fit(TrainConfig(train=items, classes=_CLASSES, steps=1_000_000))

    def _predict(self) -> Iterator[Any]:
        import torch

        from pspnet_core.inference import Predictor
        from pspnet_core.models import PSPNet, PSPNetConfig
        from pspnet_core.models.checkpoint import Checkpoint

        if self._predictor is None:
            torch.manual_seed(0)
            model = PSPNet(PSPNetConfig.studio_fast(len(_CLASSES))).eval()
            self._predictor = Predictor(Checkpoint(model, _CLASSES), "cpu")
        return self._predictor.predict_windows(self._image)

    def _ask(self) -> None:
        self._runner.submit(
            Lane.TORCH, self._predict, name="prediction", priority=Priority.VISIBLE, on_done=self._on_predicted
        )

    def _on_predicted(self, _: Any) -> None:
        self.num_predictions += 1
        self._timer.start(_PAUSE_MS)

    def _on_step(self, _: Any) -> None:
        self.num_steps += 1
