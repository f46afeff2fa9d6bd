"""Pictures of the canvas in a window of its own process, whose scale factor is as the environment says.

Run as a program: writes one ``.npz`` file with the data that was shown and, for each view, what was on screen.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from pspnet_core.imaging.planes import PlaneStore
from pspnet_core.sample import CLASSES
from pspnet_core.sample_scene import RECIPES, paint_scene
from pspnet_core.types import UNLABELLED, Prediction, Provenance
from pspnet_studio.bootstrap import make_application
from pspnet_studio.canvas.view import CanvasView
from pspnet_studio.model.document import Document
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.model.view_state import Look

_TIMEOUT_S, _FLUSH_S = 60, 0.08
OPACITY = 0.55
ZOOMS = (0.03, 0.5, 1.0, 3.0, 16.0)
MARGINS = (33, 17, 9, 5)
"""Of the canvas in its window, in logical pixels: at 125 % and 150 % it begins between two pixels of the screen."""


def make_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Photograph, class map, provenance and predicted classes: four tiles wide, of odd size.

    The upper half is painted but for a strip, the lower one predicted; a block in the middle is erased.
    """
    image, classes = paint_scene(RECIPES[0], 5, 640, 480)
    image, truth = (np.tile(a, (3, 3, 1)[: a.ndim])[:1407, :1901] for a in (image, classes))
    class_map, provenance = np.full(truth.shape, UNLABELLED, np.uint8), np.zeros(truth.shape, np.uint8)
    class_map[:700], provenance[:700] = truth[:700], Provenance.PAINTED
    class_map[100:140], provenance[100:140] = UNLABELLED, Provenance.UNTOUCHED
    class_map[480:530, 500:540], provenance[480:530, 500:540] = UNLABELLED, Provenance.ERASED
    return np.ascontiguousarray(image), class_map, provenance, np.ascontiguousarray(truth)


def main(path: Path) -> None:
    """Show everything and write it to ``path``."""
    application = make_application(["snapshot"])
    image, class_map, provenance, predicted = make_data()
    document = Document("a.png", image, PlaneStore.from_array(class_map, UNLABELLED), PlaneStore.from_array(provenance))
    document.set_prediction(Prediction(predicted, np.full_like(predicted, 255)), 1)
    tools = ToolState()
    tools.set_opacity(OPACITY)
    window, view = QWidget(), CanvasView(tools)
    view.set_classes(CLASSES)
    layout = QVBoxLayout(window)
    layout.setContentsMargins(*MARGINS)
    layout.addWidget(view)
    window.resize(601, 433)
    window.show()
    view.set_document(document)
    found = {"ratio": np.array(window.devicePixelRatioF())}
    for contours in (False, True):
        view.set_look(Look(contours=contours))
        for zoom in ZOOMS:
            view.set_zoom(zoom)
            view.look_at(511.0, 509.0)
            _settle(application, view)
            port = view.viewport
            name = f"{zoom}_{'outlines' if contours else 'regions'}"
            found[f"{name}_picture"] = _on_screen(window)
            found[f"{name}_viewport"] = np.array([port.view_w, port.view_h, port.scale, port.offset_x, port.offset_y])
    np.savez_compressed(path, **found)


def _settle(application: QApplication, view: CanvasView) -> None:
    """Until all tiles are made, and then long enough for Qt to have brought them onto the screen."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not view.is_complete and time.monotonic() < deadline:
        application.processEvents()
    assert view.is_complete
    deadline = time.monotonic() + _FLUSH_S
    while time.monotonic() < deadline:
        application.processEvents()
        time.sleep(0.005)
    assert view.is_complete


def _on_screen(window: QWidget) -> np.ndarray:
    """(H, W, 3) uint8 RGB of the window's inside, in device pixels, as it is on the screen."""
    picture = window.backingStore().paintDevice().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(picture.constBits(), np.uint8).reshape(picture.height(), picture.bytesPerLine())
    return rows[:, : 3 * picture.width()].reshape(picture.height(), picture.width(), 3).copy()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
