"""Says what happened, above the canvas, without taking the hand off the brush."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from pspnet_core.errors import PspnetError
from pspnet_studio import assets
from pspnet_studio.messages import tr

_MAX_WAITING = 50


class MessageBar(QFrame):
    """One message at a time; errors before notices, the others wait."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("look", "notice")
        self._waiting: list[object] = []
        self._current: object | None = None
        self._icon = QLabel(self)
        self._text = QLabel(self)
        self._text.setWordWrap(True)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
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
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.setSpacing(10)
        layout.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._text, 1)
        layout.addWidget(self._more)
        layout.addWidget(self._all)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    @property
    def text(self) -> str:
        """What it says now; empty when hidden."""
        return self._text.text() if self._current is not None else ""

    def show_message(self, message: object) -> None:
        """Show a ``PspnetError``, a ``Notice`` or a plain sentence; the same one is not repeated."""
        if _text_of(message) in [_text_of(m) for m in [self._current, *self._waiting] if m is not None]:
            return
        if self._current is None:
            self._show(message)
        elif isinstance(message, PspnetError) and not isinstance(self._current, PspnetError):
            self._waiting.insert(0, self._current)
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
        self._icon.setPixmap(assets.icon("warning" if is_error else "info").pixmap(20, 20))
        self._text.setText(_text_of(message))
        self.setProperty("look", "alarm" if is_error else "notice")
        self.style().unpolish(self)
        self.style().polish(self)
        self._update_more()
        self.show()

    def _update_more(self) -> None:
        self._more.setVisible(bool(self._waiting))
        self._all.setVisible(bool(self._waiting))
        self._more.setText(tr("{count} more").format(count=len(self._waiting)))


def _text_of(message: object) -> str:
    if isinstance(message, str):
        return message
    parts = [getattr(message, name, "") for name in ("title", "detail", "remedy")]
    head, *rest = (part for part in parts if part)
    return head + ("\n" + " ".join(rest) if rest else "")
