"""A confusion matrix whose cells lead to the pixels."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QKeyEvent, QPainter, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from pspnet_core.classes import ClassSet, Color
from pspnet_studio.messages import tr
from pspnet_studio.theme import tokens

if TYPE_CHECKING:
    from pspnet_core.metrics import ConfusionMatrix

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_CELL_W, _CELL_H = 46, 24
_MOST_W = 104
_SWATCH_PX = 12
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)


class ConfusionModel(QAbstractTableModel):
    """Rows: classes that are labelled. Columns: classes that are predicted. Cells: shares of the row."""

    SHARE = Qt.ItemDataRole.UserRole.value + 1
    """0 to 1; NaN in the row of a class that is labelled nowhere."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._classes = ClassSet()
        self._rows: list[int] = []
        self._columns: list[int] = []
        self._counts: NDArray[np.int64] = np.zeros((0, 0), np.int64)

    def show_matrix(self, matrix: ConfusionMatrix, classes: ClassSet) -> None:
        """Show the classes of a matrix that occur, in the order of ``classes``."""
        self.beginResetModel()
        counts = matrix.counts
        place = {class_id: row for row, class_id in enumerate(matrix.class_ids)}
        known = [c.index for c in classes if c.index in place]
        self._classes = classes
        self._rows = [i for i in known if counts[place[i]].any()]
        self._columns = [i for i in known if counts[:, place[i]].any() or i in self._rows]
        self._counts = counts[np.ix_([place[i] for i in self._rows], [place[i] for i in self._columns])]
        self._totals = counts[[place[i] for i in self._rows]].sum(axis=1)
        self.endResetModel()

    def cell(self, index: _Index) -> tuple[int, int]:
        """Class ids of a cell: labelled, predicted."""
        return self._rows[index.row()], self._columns[index.column()]

    def index_of(self, true_id: int, predicted_id: int) -> QModelIndex:
        """The cell of two classes; none where they do not occur."""
        if true_id not in self._rows or predicted_id not in self._columns:
            return QModelIndex()
        return self.index(self._rows.index(true_id), self._columns.index(predicted_id))

    def count(self, index: _Index) -> int:
        """Pixels of a cell."""
        return int(self._counts[index.row(), index.column()])

    def rowCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        share = self.count(index) / max(1, int(self._totals[index.row()]))
        if role == self.SHARE:
            return share
        if role == Qt.ItemDataRole.DisplayRole:
            return percent_text(share) if self.count(index) else ""
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._words(index, share)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        ids = self._rows if orientation is Qt.Orientation.Vertical else self._columns
        if not 0 <= section < len(ids):
            return None
        found = self._classes[ids[section]]
        if role == Qt.ItemDataRole.DisplayRole:
            return found.name
        if role == Qt.ItemDataRole.DecorationRole:
            return swatch_icon(found.color)
        if role == Qt.ItemDataRole.ToolTipRole:
            text = tr("Labelled as “{name}”") if orientation is Qt.Orientation.Vertical else tr("Predicted as “{name}”")
            return text.format(name=found.name)
        return None

    def _words(self, index: _Index, share: float) -> str:
        true_id, predicted_id = self.cell(index)
        count = f"{self.count(index):,}"
        if true_id == predicted_id:
            text = tr("{percent} of “{true}” is found: {count} pixels")
        else:
            text = tr("{percent} of “{true}” is predicted as “{predicted}”: {count} pixels")
        names = {"true": self._classes[true_id].name, "predicted": self._classes[predicted_id].name}
        return text.format(percent=tr("{number} %").format(number=percent_text(share)), count=count, **names)


class ConfusionView(QTableView):
    """The matrix: arrow keys move, Enter or a click goes to the pixels of a cell.

    Signals:
        cell_chosen: Class ids: labelled, predicted.
    """

    cell_chosen = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.matrix = ConfusionModel(self)
        self.setModel(self.matrix)
        self.setItemDelegate(_CellDelegate(self))
        self.setAccessibleName(tr("Confusion matrix: rows are labels, columns are predictions"))
        self.setShowGrid(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        for header, size in ((self.horizontalHeader(), _CELL_W), (self.verticalHeader(), _CELL_H)):
            header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            header.setMinimumSectionSize(_CELL_H)
            header.setDefaultSectionSize(size)
            header.setSectionsClickable(False)
            header.setHighlightSections(True)
            header.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.verticalHeader().setMaximumWidth(140)
        self.clicked.connect(self._choose)

    def _choose(self, index: _Index) -> None:
        if index.isValid():
            self.cell_chosen.emit(*self.matrix.cell(index))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in _ENTER and not event.modifiers():
            self._choose(self.currentIndex())
            event.accept()
            return
        super().keyPressEvent(event)

    def fit_columns(self) -> None:
        """Let the columns take the width there is, as far as names need it."""
        count = self.matrix.columnCount()
        if count:
            width = (self.viewport().width() - 1) // count
            self.horizontalHeader().setDefaultSectionSize(min(max(width, _CELL_W), _MOST_W))

    def sizeHint(self) -> QSize:
        return QSize(320, 200)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit_columns()


class _CellDelegate(QStyledItemDelegate):
    """A cell: its share as a number, on a tint that grows with it; what is found is framed, besides."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        from PySide6.QtWidgets import QStyle  # as in rows: not before a cell is painted

        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        t, box = tokens(option.palette), QRectF(option.rect).adjusted(1, 1, -1, -1)
        model = index.model()
        assert isinstance(model, ConfusionModel)
        share, cell = index.data(ConfusionModel.SHARE), model.cell(index)
        is_found = cell[0] == cell[1]
        tint = QColor(t.good if is_found else t.error)
        tint.setAlphaF(0.06 + 0.34 * share**0.5 if model.count(index) else 0.04)
        painter.fillRect(option.rect, t.surface)
        painter.setPen(QPen(t.good, 1) if is_found else Qt.PenStyle.NoPen)
        painter.setBrush(tint)
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        painter.setPen(t.text)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, index.data(Qt.ItemDataRole.DisplayRole))
        state = option.state
        if state & QStyle.StateFlag.State_Selected or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(QPen(t.accent, 2 if state & QStyle.StateFlag.State_Selected else 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, 3, 3)
        painter.restore()


def percent_text(share: float) -> str:
    """A share in percent; a trace of something is not told as nothing, nor nearly all as all."""
    percent = 100 * share
    if 0 < percent < 0.1:
        return "<0.1"
    if percent < 10:
        return f"{percent:.1f}"
    return "99.9" if 99.5 <= percent < 100 else f"{percent:.0f}"


@lru_cache(maxsize=512)
def swatch_icon(color: Color) -> QIcon:
    """A small square of a class's colour."""
    pixmap = QPixmap(2 * _SWATCH_PX, 2 * _SWATCH_PX)
    pixmap.setDevicePixelRatio(2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(128, 128, 128), 1))
    painter.setBrush(QColor(*color))
    painter.drawRoundedRect(QRectF(0.5, 0.5, _SWATCH_PX - 1, _SWATCH_PX - 1), 3, 3)
    painter.end()
    return QIcon(pixmap)
