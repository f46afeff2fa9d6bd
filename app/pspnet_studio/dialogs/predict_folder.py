"""Which images are predicted, and where their class maps go."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import (
    QCheckBox,
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

from pspnet_studio.messages import tr
from pspnet_studio.theme import SPACE_L, SPACE_S


class PredictFolderDialog(QDialog):
    """Asks for a folder of images and one for their class maps.

    Args:
        images: The folder that is proposed.
        out: Where to, proposed.
        version: Number of the version that predicts.
    """

    def __init__(self, images: Path, out: Path, version: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Predict folder"))
        self.setMinimumWidth(520)
        form = QGridLayout()
        form.setSpacing(SPACE_S)
        self._images = self._row(form, 0, tr("&Images"), images, tr("Folder of images to predict"))
        self._out = self._row(form, 1, tr("Class &maps"), out, tr("Folder for the class maps"))
        self._confidence = QCheckBox(tr("Also write the &confidence"), self)
        self._flip = QCheckBox(tr("Look at each image &twice, also mirrored: takes twice the time"), self)
        hint = QLabel(
            tr(
                "Version {number} predicts. Each class map is a PNG with palette, value = class id. Images that this "
                "version has predicted before, in the same way, are left as they are."
            ).format(number=version),
            self,
        )
        hint.setProperty("look", "muted")
        hint.setWordWrap(True)
        buttons = QDialogButtonBox(self)
        self._start = buttons.addButton(tr("Predict"), QDialogButtonBox.ButtonRole.AcceptRole)
        self._start.setDefault(True)
        self._start.setProperty("look", "primary")
        self.style().unpolish(self._start)  # the box has polished it already
        self.style().polish(self._start)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        for field in (self._images, self._out):
            field.textChanged.connect(self._update)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(form)
        layout.addWidget(self._confidence)
        layout.addWidget(self._flip)
        layout.addWidget(hint)
        layout.addWidget(buttons)
        self._images.setFocus()

    @property
    def images(self) -> Path:
        """Folder of images."""
        return Path(self._images.text().strip()).expanduser()

    @property
    def out(self) -> Path:
        """Folder for the class maps."""
        return Path(self._out.text().strip()).expanduser()

    @property
    def confidence(self) -> bool:
        """Whether the confidence is wanted, too."""
        return self._confidence.isChecked()

    @property
    def flip(self) -> bool:
        """Whether each image is looked at mirrored, too."""
        return self._flip.isChecked()

    def _row(self, form: QGridLayout, number: int, text: str, folder: Path, title: str) -> QLineEdit:
        field = QLineEdit(str(folder), self)
        field.setAcceptDrops(False)
        label = QLabel(text, self)
        label.setBuddy(field)
        browse = QPushButton(tr("Choose…"), self)
        browse.clicked.connect(lambda: self._choose(field, title))
        row = QHBoxLayout()
        row.setSpacing(SPACE_S)
        row.addWidget(field, 1)
        row.addWidget(browse)
        form.addWidget(label, number, 0)
        form.addLayout(row, number, 1)
        return field

    def _choose(self, field: QLineEdit, title: str) -> None:
        folder = QFileDialog.getExistingDirectory(self, title, field.text())
        if folder:
            field.setText(folder)

    def _update(self) -> None:
        self._start.setEnabled(bool(self._images.text().strip() and self._out.text().strip()))
