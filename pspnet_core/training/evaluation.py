"""A checkpoint measured on labelled images."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from pspnet_core.boundary import BoundaryScore
from pspnet_core.inference.calibration import Calibration, Reliability
from pspnet_core.inference.predictor import Predicted, Predictor, WindowDone
from pspnet_core.metrics import ConfusionMatrix
from pspnet_core.models.checkpoint import Checkpoint
from pspnet_core.training.data import LabelledCache, LabelledImage


def evaluate_images(
    checkpoint: Checkpoint,
    items: Sequence[LabelledImage],
    cache: LabelledCache,
    device: str = "auto",
    enough: Callable[[], bool] = lambda: False,
    boundary: BoundaryScore | None = None,
    calibration: Calibration | None = None,
    reliability: Reliability | None = None,
) -> Generator[float, None, tuple[ConfusionMatrix, int]]:
    """Predict whole images and count all their labelled pixels in one confusion matrix.

    Args:
        checkpoint: To be measured.
        items: Images with class maps.
        cache: Loads them; its classes may be more than those of the checkpoint.
        device: Where to compute.
        enough: Asked after each image; True ends the evaluation early.
        boundary: Gets every image too, where it is given; so do the next two.
        calibration: Gets the logits.
        reliability: Gets the confidence.

    Yields:
        The share that is done, 0 to 1, at least after each window.

    Returns:
        The matrix over the classes of the cache, and the number of images that it holds.

    Raises:
        TrainingError: An image could not be read.
        DeviceError: The device is not there, or memory ran out.
    """
    predictor = Predictor(checkpoint, device)
    matrix = ConfusionMatrix(cache.classes.indices)
    for number, item in enumerate(items):
        image, class_map = cache.get(item)
        yield number / len(items)
        for event in predictor.predict_windows(image):
            if isinstance(event, WindowDone):
                yield (number + event.done / event.total) / len(items)
            elif isinstance(event, Predicted):
                matrix.update(class_map, event.prediction.class_map)
                if boundary is not None:
                    boundary.update(class_map, event.prediction.class_map)
                if calibration is not None and event.logits is not None:
                    calibration.update(event.logits, class_map)
                if reliability is not None:
                    reliability.update(class_map, event.prediction)
        if enough():
            return matrix, number + 1
    return matrix, len(items)
