"""Says what happened, over the top of the canvas, without moving the image or taking the hand off the brush."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from pspnet_core.errors import PspnetError
from pspnet_studio import assets
from pspnet_studio.messages import tr
from pspnet_studio.theme import ICON_PX, SPACE_M, SPACE_S

_MAX_WAITING = 50
_MAX_WIDTH_PX = 760


class MessageBar(QFrame):
    """One message at a time; errors before notices, the others wait."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("look", "notice")
        self._waiting: list[object] = []
        self._current: object | None = None
        self._below: QWidget | None = None
        self._icon = QLabel(self)
        self._title, self._body = _label(self), _label(self)
        self._more = QLabel(self)
        self._more.setProperty("look", "muted")
        close = QToolButton(self)
        close.setAutoRaise(True)
        close.setIcon(assets.icon("close"))
        close.setToolTip(tr("Dismiss"))
        close.setAccessibleName(tr("Dismiss message"))
        close.clicked.connect(self._next)
        self._all = QPushButton(tr("Dismiss all"), self)
        self._all.clicked.connect(self.clear)
        line_px = max(close.sizeHint().height(), self._all.sizeHint().height())
        self._title.setMinimumHeight(line_px)  # its first line stands level with the icon and the buttons
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self._title)
        words.addWidget(self._body)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(SPACE_M, SPACE_S, SPACE_S, SPACE_S)
        layout.setSpacing(SPACE_S)
        layout.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(words, 1)
        for widget in (self._more, self._all, close):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignTop)
        for widget in (self._icon, self._more, close):
            widget.setFixedHeight(line_px)
        self.hide()

    def float_over(self, below: QWidget) -> None:
        """Lie over the top of another widget and follow its size."""
        self.setParent(below)
        self._below = below
        below.installEventFilter(self)
        self.hide()

    @property
    def text(self) -> str:
        """What it says now; empty when hidden."""
        return _text_of(self._current) if self._current is not None else ""

    def show_message(self, message: object) -> None:
        """Show a ``PspnetError``, a ``Notice`` or a plain sentence; the same one is not repeated."""
        if _text_of(message) in [_text_of(m) for m in [self._current, *self._waiting] if m is not None]:
            return
        if self._current is None:
            self._show(message)
        elif isinstance(message, PspnetError) or not isinstance(self._current, PspnetError):
            self._waiting.insert(0, self._current)  # what was done last comes first
            del self._waiting[_MAX_WAITING:]
            self._show(message)
        else:
            self._waiting.append(message)
            del self._waiting[_MAX_WAITING:]
            self._update_more()

    def clear(self) -> None:
        """Dismiss everything."""
        self._waiting.clear()
        self._next()

    def _next(self) -> None:
        if self._waiting:
            self._show(self._waiting.pop(0))
            return
        self._current = None
        self.hide()

    def _show(self, message: object) -> None:
        self._current = message
        is_error = isinstance(message, PspnetError)
        self._icon.setPixmap(assets.icon("warning" if is_error else "info").pixmap(ICON_PX, ICON_PX))
        title, body = _parts_of(message)
        self._title.setText(title)
        self._title.setProperty("look", "title" if body else "")
        self._body.setText(body)
        self._body.setVisible(bool(body))
        self.setProperty("look", "alarm" if is_error else "notice")
        for widget in (self, self._title):
            self.style().unpolish(widget)
            self.style().polish(widget)
        self._update_more()
        self.show()
        self._place()
        self.raise_()

    def _place(self) -> None:
        if self._below is None:
            return
        self.layout().activate()
        width = min(_MAX_WIDTH_PX, self._below.width() - 2 * SPACE_M)
        if self.layout().hasHeightForWidth():
            height = self.layout().totalHeightForWidth(width)
        else:
            height = self.sizeHint().height()
        height = min(height, self._below.height() - 2 * SPACE_M)
        self.setGeometry((self._below.width() - width) // 2, SPACE_M, width, height)

    def _update_more(self) -> None:
        self._more.setVisible(bool(self._waiting))
        self._all.setVisible(bool(self._waiting))
        self._more.setText(tr("{count} more").format(count=len(self._waiting)))
        self._place()

    # --- Qt

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False


def _text_of(message: object) -> str:
    return "\n".join(part for part in _parts_of(message) if part)


def _parts_of(message: object) -> tuple[str, str]:
    """What happened in one sentence, and the rest: what exactly, and on a line of its own what to do."""
    if isinstance(message, str):
        return message, ""
    head, *rest = (part for name in ("title", "detail", "remedy") if (part := getattr(message, name, "")))
    return head, "\n".join(rest)


def _label(parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return label
