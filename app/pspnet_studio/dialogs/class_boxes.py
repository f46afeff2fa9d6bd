"""Parts that dialogs about classes share."""

from __future__ import annotations

from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QComboBox, QDialogButtonBox, QLabel, QPushButton, QWidget

from pspnet_core.classes import ClassSet
from pspnet_core.types import UNLABELLED
from pspnet_studio.messages import tr

_SWATCH_PX = 12


def fill_classes(box: QComboBox, classes: ClassSet, *, with_unlabelled: bool = False) -> None:
    """Offer the classes by name and colour; what was chosen stays chosen if it is still there."""
    chosen = box.currentData()
    box.clear()
    for c in classes:
        swatch = QPixmap(_SWATCH_PX, _SWATCH_PX)
        swatch.fill(QColor(*c.color))
        box.addItem(QIcon(swatch), c.name, c.index)
    if with_unlabelled:
        box.addItem(tr("Unlabelled"), UNLABELLED)
    box.setCurrentIndex(max(0, box.findData(chosen)))


def label(text: str, buddy: QWidget) -> QLabel:
    """A label whose mnemonic goes to a control."""
    made = QLabel(text)
    made.setBuddy(buddy)
    return made


def would_change(num_pixels: int) -> str:
    """How many pixels would change, as a sentence without its full stop."""
    if num_pixels == 1:
        return tr("1 pixel would change")
    return tr("{count} pixels would change").format(count=f"{num_pixels:,}")


def primary_button(buttons: QDialogButtonBox, text: str) -> QPushButton:
    """The button that does what the dialog is for."""
    button = buttons.addButton(text, QDialogButtonBox.ButtonRole.AcceptRole)
    button.setDefault(True)
    button.setProperty("look", "primary")
    buttons.style().unpolish(button)  # the box has polished it already
    buttons.style().polish(button)
    return button
