"""What a panel shows while it has nothing to show: what is missing, and what to do."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QPalette, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from pspnet_studio.assets import icon
from pspnet_studio.theme import SPACE_M, SPACE_S, SPACE_XL

_ICON_PX = 32
_LOW_PX = 180


class EmptyState(QWidget):
    """An icon, one line that says what is missing, one that says what to do, and room for a button.

    Args:
        icon_name: Of resources/icons.
    """

    def __init__(self, icon_name: str, title: str, remedy: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon_name = icon_name
        self._picture = QLabel()
        self._title = QLabel()
        self._title.setProperty("look", "title")
        self._remedy = QLabel()
        self._remedy.setProperty("look", "muted")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_XL, SPACE_XL, SPACE_XL, SPACE_XL)
        layout.setSpacing(SPACE_S)
        layout.addStretch(1)
        for label in (self._picture, self._title, self._remedy):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setWordWrap(True)
            layout.addWidget(label)
        layout.addStretch(2)
        self.set_words(title, remedy)

    def set_words(self, title: str, remedy: str) -> None:
        """Say something else."""
        self._title.setText(title)
        self._remedy.setText(remedy)

    @property
    def words(self) -> str:
        """What it says."""
        return f"{self._title.text()} {self._remedy.text()}"

    def add_widget(self, widget: QWidget) -> None:
        """Put a button under the words."""
        layout = self.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(layout.count() - 1, widget, 0, Qt.AlignmentFlag.AlignHCenter)

    def _draw_icon(self) -> None:
        picture = icon(self._icon_name, QPalette.ColorRole.PlaceholderText)
        self._picture.setPixmap(picture.pixmap(_ICON_PX, _ICON_PX))

    def showEvent(self, event: QShowEvent) -> None:
        self._draw_icon()
        super().showEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # Where there is little room the words are worth more than the picture.
        is_low = self.height() < _LOW_PX
        self._picture.setVisible(not is_low)
        margin = SPACE_S if is_low else SPACE_XL
        self.layout().setContentsMargins(SPACE_M, margin, SPACE_M, margin)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.PaletteChange and self.isVisible():
            self._draw_icon()
        super().changeEvent(event)
