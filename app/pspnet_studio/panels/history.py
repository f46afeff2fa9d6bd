"""The steps of the open image: where it stands, and a click back or forward to any other state."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSignalBlocker, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QPen, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QListView,
    QSpinBox,
    QStackedWidget,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from pspnet_studio.messages import tr
from pspnet_studio.model.document import Document
from pspnet_studio.model.session import Session
from pspnet_studio.model.step_list import StepListModel, StepRole
from pspnet_studio.panels.empty import EmptyState
from pspnet_studio.panels.rows import draw_icon, draw_row_background, small
from pspnet_studio.theme import SPACE_M, SPACE_S, SPACE_XS, indent_value, tokens

_Index = QModelIndex | QPersistentModelIndex
_DELAY_MS = 40
"""The list follows the hand at a distance: a stroke does not wait for it."""

_NUM_SEEN = 2
"""Steps that were undone last are in sight below the current one."""

_MEGABYTE = 1024 * 1024
_MIN_MB, _MAX_MB = 16, 8192


class HistoryPanel(QWidget):
    """Lists the steps of the session's open image; says what all of them need.

    Args:
        session: Its document and its histories.

    Signals:
        step_chosen: A person wants so many steps to be in force.
        budget_changed: And the histories to need at most so many megabytes.
    """

    step_chosen = Signal(int)
    budget_changed = Signal(int)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._document: Document | None = None
        self.model = StepListModel(session, self)
        self.view = _StepView(self)
        self.view.setModel(self.model)
        self.view.setItemDelegate(StepDelegate(self.view))
        self.view.clicked.connect(self._choose)
        self.view.row_wanted.connect(self._choose)
        self.empty = EmptyState(
            "undo",
            tr("Nothing to undo yet"),
            tr("Paint something: each step is listed here, and a click goes back to it."),
        )
        self._pages = QStackedWidget()
        self._pages.addWidget(self.empty)
        self._pages.addWidget(self.view)
        self.used_label = QLabel()
        self.used_label.setProperty("look", "muted")
        self.budget_box = QSpinBox()
        indent_value(self.budget_box)
        self._lay_out()
        self._later = QTimer(self, singleShot=True, interval=_DELAY_MS)
        self._later.timeout.connect(self.refresh)
        session.document_changed.connect(self._on_document_changed)
        session.classes_changed.connect(self._later.start)
        self.budget_box.valueChanged.connect(self._on_budget)
        self._on_document_changed()

    def set_budget_mb(self, megabytes: int) -> None:
        """Show a budget, and keep to it."""
        with QSignalBlocker(self.budget_box):
            self.budget_box.setValue(megabytes)
        self._session.set_undo_budget(self.budget_box.value() * _MEGABYTE)
        self._later.start()

    def refresh(self) -> None:
        """Show what is there now."""
        self._later.stop()
        if not self.isVisible():
            return  # as soon as it is
        self.model.refresh()
        self._pages.setCurrentWidget(self.view if self.model.num_steps else self.empty)
        used = self._session.histories.nbytes / _MEGABYTE
        self.used_label.setText(tr("{used} MB of").format(used=f"{used:.1f}"))
        row = self.model.current_row
        self.view.scrollTo(self.model.index(min(row + _NUM_SEEN, self.model.num_steps)))  # what can be redone
        self.view.setCurrentIndex(self.model.index(row))
        self.view.scrollTo(self.model.index(row))

    # --- inside

    def _lay_out(self) -> None:
        tip = tr(
            "Memory for the undo steps of all images of this project; the oldest go first. "
            "They are kept on disk, too, for the next start."
        )
        self.budget_box.setRange(_MIN_MB, _MAX_MB)
        self.budget_box.setSingleStep(64)
        self.budget_box.setSuffix(tr(" MB"))
        self.budget_box.setKeyboardTracking(False)
        self.budget_box.setAccessibleName(tr("Memory for undo"))
        for widget in (self.used_label, self.budget_box):
            widget.setToolTip(tip)
        footer = QHBoxLayout()
        footer.setContentsMargins(SPACE_M, SPACE_XS, SPACE_S, SPACE_S)
        footer.addWidget(self.used_label)
        footer.addWidget(self.budget_box)
        footer.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE_XS)
        layout.addWidget(self._pages, 1)
        layout.addLayout(footer)

    def _choose(self, index: _Index) -> None:
        if index.isValid() and index.row() != self.model.current_row:
            self.step_chosen.emit(index.row())

    def _on_budget(self, megabytes: int) -> None:
        self.set_budget_mb(megabytes)
        self.budget_changed.emit(megabytes)

    def _on_document_changed(self) -> None:
        if self._document is not None:
            self._document.history_changed.disconnect(self._later.start)
        self._document = self._session.document
        if self._document is not None:
            self._document.history_changed.connect(self._later.start)
        self._later.start()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()


class _StepView(QListView):
    """The list itself: a click or Enter chooses, the arrow keys only look around."""

    row_wanted = Signal(QModelIndex)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName(tr("Steps of this image"))
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and not event.modifiers():
            self.row_wanted.emit(self.currentIndex())
            event.accept()
            return
        super().keyPressEvent(event)


class StepDelegate(QStyledItemDelegate):
    """A row of the list: icon, what was done, the class with its colour; what is undone is faint."""

    _ICON_PX = 16
    _SWATCH_PX = 12

    def sizeHint(self, option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(140, max(28, QFontMetrics(option.font).height() + SPACE_S))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        if index.data(StepRole.ICON) is None:
            return  # the step is gone, and the list is refreshed in a moment
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        t, rect = tokens(option.palette), option.rect
        is_done = bool(index.data(StepRole.IS_DONE))
        draw_row_background(painter, option, bool(index.data(StepRole.IS_CURRENT)))
        if index.data(StepRole.BEGINS_SESSION):
            painter.setPen(QPen(t.control, 1, Qt.PenStyle.DashLine))
            painter.drawLine(rect.left() + SPACE_M, rect.top(), rect.right() - SPACE_M, rect.top())
        side = self._ICON_PX
        icon = QRect(rect.left() + SPACE_M, rect.center().y() - side // 2 + 1, side, side)
        draw_icon(painter, index.data(StepRole.ICON), icon, t.muted if is_done else t.disabled)
        room = rect.adjusted(SPACE_M + side + SPACE_S, 0, -SPACE_M, 0)
        color = index.data(StepRole.COLOR)
        if color is not None:
            swatch = QRectF(
                room.right() - self._SWATCH_PX, rect.center().y() - self._SWATCH_PX / 2 + 1, *[self._SWATCH_PX] * 2
            )
            painter.setPen(QPen(t.control, 1))
            painter.setBrush(color)
            painter.setOpacity(1.0 if is_done else 0.4)
            painter.drawRoundedRect(swatch, 3, 3)
            painter.setOpacity(1.0)
            room.setRight(round(swatch.left()) - SPACE_S)
        self._draw_words(painter, option, room, index, is_done)
        painter.restore()

    def _draw_words(
        self, painter: QPainter, option: QStyleOptionViewItem, room: QRect, index: _Index, is_done: bool
    ) -> None:
        t = tokens(option.palette)
        text, name = index.data(Qt.ItemDataRole.DisplayRole), index.data(StepRole.CLASS_NAME)
        align = Qt.AlignmentFlag.AlignVCenter
        painter.setFont(option.font)
        painter.setPen(t.text if is_done else t.disabled)
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, align | Qt.AlignmentFlag.AlignLeft, shown)
        left = painter.fontMetrics().horizontalAdvance(shown) + SPACE_M
        if name and left < room.width():
            painter.setFont(small(option.font))
            painter.setPen(t.muted if is_done else t.disabled)
            rest = room.adjusted(left, 0, 0, 0)
            shown = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, rest.width())
            painter.drawText(rest, align | Qt.AlignmentFlag.AlignRight, shown)
