"""Where to and in which format masks are exported."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from pspnet_studio.messages import tr, tr_count
from pspnet_studio.theme import SPACE_L, SPACE_S


class ExportDialog(QDialog):
    """Asks for a format and an empty or own folder.

    Args:
        folder: The folder that is proposed.
        num_masks: How many images have a mask.
    """

    def __init__(self, folder: Path, num_masks: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Export masks"))
        self.setMinimumWidth(480)
        self._format = QComboBox(self)
        self._format.addItem(tr("PNG with palette: value = class id, opens in colour"), "png-palette")
        self._format.addItem(tr("PNG, grey: value = class id"), "png")
        self._folder = QLineEdit(str(folder), self)
        self._folder.setAcceptDrops(False)
        browse = QPushButton(tr("Choose…"), self)
        browse.clicked.connect(self._choose)
        row = QHBoxLayout()
        row.setSpacing(SPACE_S)
        row.addWidget(self._folder, 1)
        row.addWidget(browse)
        form = QGridLayout()
        form.setSpacing(SPACE_S)
        form.addWidget(_label(tr("&Format"), self._format), 0, 0)
        form.addWidget(self._format, 0, 1)
        form.addWidget(_label(tr("Fol&der"), self._folder), 1, 0)
        form.addLayout(row, 1, 1)
        if num_masks:
            text = tr_count("1 image has a mask.", "{count} images have a mask.", num_masks)
            text += " " + tr("Unlabelled pixels are written as 255.")
        else:
            text = tr("No image is labelled yet: there is nothing to export.")
        hint = QLabel(text, self)
        hint.setProperty("look", "muted")
        hint.setWordWrap(True)
        buttons = QDialogButtonBox(self)
        self._export = buttons.addButton(tr("Export"), QDialogButtonBox.ButtonRole.AcceptRole)
        self._export.setDefault(True)
        self._export.setProperty("look", "primary")
        self.style().unpolish(self._export)  # the box has polished it already
        self.style().polish(self._export)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self._export.setEnabled(num_masks > 0)
        self._folder.textChanged.connect(lambda text: self._export.setEnabled(bool(text.strip()) and num_masks > 0))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(form)
        layout.addWidget(hint)
        layout.addWidget(buttons)
        self._folder.setFocus()

    @property
    def format(self) -> str:
        """``png`` or ``png-palette``."""
        return str(self._format.currentData())

    @property
    def folder(self) -> Path:
        """Where to."""
        return Path(self._folder.text().strip()).expanduser()

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Export to"), self._folder.text())
        if folder:
            self._folder.setText(folder)


def _label(text: str, buddy: QWidget) -> QLabel:
    label = QLabel(text)
    label.setBuddy(buddy)
    return label
