"""Which earlier version comes back."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QDateTime, QLocale, Qt
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QLabel, QListWidget, QVBoxLayout, QWidget

from pspnet_studio.jobs.restoring import Restorable, What
from pspnet_studio.messages import tr
from pspnet_studio.theme import SPACE_L, SPACE_M

_PREVIEW_PX = 320


class RestoreDialog(QDialog):
    """Lists what there is, with a picture of each mask.

    Args:
        name: Of the image.
        found: At least one.
    """

    def __init__(self, name: str, found: Sequence[Restorable], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Restore a backup"))
        self._found = list(found)
        self._name = name
        self.list = QListWidget(self)
        self.list.setAccessibleName(tr("Backups"))
        self.list.setMinimumWidth(320)
        for one in self._found:
            self.list.addItem(words_of(one, name))
        self._picture, self._details = QLabel(self), QLabel(self)
        self._picture.setFixedSize(_PREVIEW_PX, _PREVIEW_PX)
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._details.setWordWrap(True)
        self._details.setProperty("look", "muted")
        buttons = QDialogButtonBox(self)
        self.restore_button = buttons.addButton(tr("&Restore"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.restore_button.setDefault(True)
        self.restore_button.setProperty("look", "primary")
        self.style().unpolish(self.restore_button)  # the box has polished it already
        self.style().polish(self.restore_button)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        side = QVBoxLayout()
        side.addWidget(self._picture)
        side.addWidget(self._details)
        side.addStretch(1)
        center = QHBoxLayout()
        center.setSpacing(SPACE_M)
        center.addWidget(self.list, 1)
        center.addLayout(side)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(center)
        layout.addWidget(buttons)
        self.list.currentRowChanged.connect(self._on_row)
        self.list.setCurrentRow(0)

    @property
    def chosen(self) -> Restorable:
        """What the person wants back."""
        return self._found[self.list.currentRow()]

    def _on_row(self, row: int) -> None:
        one = self._found[row]
        self.restore_button.setEnabled(one.error is None)
        self._details.setText(details_of(one))
        if one.picture is None:
            self._picture.clear()
            return
        h, w = one.picture.shape[:2]
        image = QImage(one.picture.tobytes(), w, h, 3 * w, QImage.Format.Format_RGB888)
        self._picture.setPixmap(QPixmap.fromImage(image))


def words_of(one: Restorable, name: str) -> str:
    """A row of the list."""
    if one.what is What.JOURNAL or one.backup is None:
        return tr("{name} as it was last saved, without its journal").format(name=name)
    when = QLocale().toString(QDateTime.fromSecsSinceEpoch(int(one.backup.written_s)), QLocale.FormatType.ShortFormat)
    if one.what is What.MASK:
        return tr("Mask of {name}, {when}").format(name=name, when=when)
    return tr("Project file, {when}").format(when=when)


def details_of(one: Restorable) -> str:
    """What is said below the picture."""
    if one.error is not None:
        return str(one.error)
    if one.what is What.JOURNAL:
        return tr("Strokes that are in no mask yet are left out. The journal is kept beside.")
    if one.what is What.MASK:
        share = tr("{percent} % labelled.").format(percent=round(100 * one.labelled))
        return f"{share} " + tr("Undo takes it back, if the image is open.")
    numbers = one.numbers or {}
    return tr("{classes} classes, {images} images with a status, {done} of them done. Masks stay as they are.").format(
        classes=numbers.get("classes", 0), images=numbers.get("images", 0), done=numbers.get("done", 0)
    )
