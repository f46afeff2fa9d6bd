"""The start page: drop a folder, open one, or try the sample."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from pspnet_studio import assets
from pspnet_studio.messages import tr
from pspnet_studio.theme import SPACE_M, SPACE_S

_WIDTH_PX, _NAME_PX = 560, 170
_MAX_RECENT = 5


class _DropZone(QFrame):
    """A dashed frame that says what can be dropped; the window itself takes the drop."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.is_hot = False

    def set_hot(self, is_hot: bool) -> None:
        """Whether something droppable hovers over the window."""
        self.is_hot = is_hot
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        accent = self.palette().color(QPalette.ColorRole.Highlight)
        line = QColor(accent if self.is_hot else self.palette().color(QPalette.ColorRole.PlaceholderText))
        fill = QColor(accent)
        fill.setAlpha(38 if self.is_hot else 10)
        painter.setPen(QPen(line, 2 if self.is_hot else 1.5, Qt.PenStyle.DashLine))
        painter.setBrush(fill)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 12, 12)


class _RecentRow(QPushButton):
    """A folder: its name, and where it is, as much as fits."""

    def __init__(self, folder: Path, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("look", "row")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip(str(folder))
        self.setAccessibleName(tr("Open {folder}").format(folder=folder))
        name, place = QLabel(self), QLabel(self)
        name.setFixedWidth(_NAME_PX)
        name.setText(_elided(folder.name or str(folder), name, _NAME_PX))
        place.setProperty("look", "muted")
        place.setText(_elided(str(folder.parent), place, _WIDTH_PX - _NAME_PX - 6 * SPACE_M))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(SPACE_S, 0, SPACE_S, 0)
        layout.setSpacing(SPACE_M)
        layout.addWidget(name)
        layout.addWidget(place, 1)
        for label in (name, place):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)


class WelcomePage(QWidget):
    """What a person sees before a project is open.

    Signals:
        open_requested: The "Open folder" button.
        sample_requested: The "Try the sample" button.
        recent_requested: A recent folder, as text.
    """

    open_requested = Signal()
    sample_requested = Signal()
    recent_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAutoFillBackground(True)
        column = QWidget(self)
        column.setFixedWidth(_WIDTH_PX)
        body = QVBoxLayout(column)
        body.setSpacing(16)
        title = QLabel(tr("Teach a network by correcting it"), column)
        title.setFont(_scaled(title.font(), 1.9, True))
        title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        loop = QLabel(tr("Name classes  →  paint a little  →  fine-tune  →  the next image needs less"), column)
        loop.setProperty("look", "muted")
        loop.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        body.addWidget(title)
        body.addWidget(loop)
        body.addSpacing(8)
        body.addWidget(self._make_zone(column))
        self._recent = QVBoxLayout()
        self._recent.setSpacing(2)
        body.addLayout(self._recent)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(column)
        row.addStretch()
        outer = QVBoxLayout(self)
        outer.addStretch(2)
        outer.addLayout(row)
        outer.addStretch(3)

    def set_recent(self, folders: list[str]) -> None:
        """Show the folders that were opened before."""
        while (entry := self._recent.takeAt(0)) is not None:
            if (widget := entry.widget()) is not None:
                widget.deleteLater()
        if not folders:
            return
        heading = QLabel(tr("Recent"), self)
        heading.setProperty("look", "title")
        heading.setContentsMargins(SPACE_S, 0, 0, 0)
        self._recent.addWidget(heading)
        for folder in folders[:_MAX_RECENT]:
            row = _RecentRow(Path(folder), self)
            row.clicked.connect(lambda _=False, folder=folder: self.recent_requested.emit(folder))
            self._recent.addWidget(row)

    def set_drop_hot(self, is_hot: bool) -> None:
        """Highlight the drop zone while something droppable hovers."""
        self._zone.set_hot(is_hot)

    def _make_zone(self, parent: QWidget) -> QFrame:
        zone = self._zone = _DropZone(parent)
        zone.setMinimumHeight(220)
        icon = QLabel(zone)
        icon.setPixmap(assets.icon("folder-open").pixmap(48, 48))
        icon.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        text = QLabel(tr("Drop a folder of photos here"), zone)
        text.setFont(_scaled(text.font(), 1.25, True))
        text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        hint = QLabel(tr("Your images stay on your disk. Masks beside them are found and never changed."), zone)
        hint.setProperty("look", "muted")
        hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        hint.setWordWrap(True)
        self.open_button = QPushButton(tr("Open folder…"), zone)
        self.open_button.setDefault(True)
        self.open_button.setProperty("look", "primary")
        self.open_button.clicked.connect(self.open_requested)
        self.sample_button = QPushButton(tr("Try the sample"), zone)
        self.sample_button.clicked.connect(self.sample_requested)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.sample_button)
        buttons.addStretch()
        layout = QVBoxLayout(zone)
        layout.setContentsMargins(24, 24, 24, 24)
        layout.setSpacing(10)
        layout.addStretch()
        for widget in (icon, text, hint):
            layout.addWidget(widget)
        layout.addSpacing(6)
        layout.addLayout(buttons)
        layout.addStretch()
        return zone


def _scaled(font: QFont, factor: float, is_bold: bool) -> QFont:
    scaled = QFont(font)
    scaled.setPointSizeF(font.pointSizeF() * factor)
    scaled.setBold(is_bold)
    return scaled


def _elided(text: str, label: QLabel, width_px: int) -> str:
    return label.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, width_px)
