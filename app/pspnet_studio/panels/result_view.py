"""What came of a fine-tune: a sentence, what it means, and what changed for each class."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from pspnet_core.classes import Color
from pspnet_studio.assets import icon
from pspnet_studio.messages import tr
from pspnet_studio.panels.disclosure import Disclosure, ElidedLabel, make_label
from pspnet_studio.panels.training_words import ClassChange, Outcome
from pspnet_studio.theme import ICON_PX, SPACE_M, SPACE_S, SPACE_XS, tokens

_FEW = 8
_SWATCH_PX = 12


class ResultView(QFrame):
    """A card with what came of a fine-tune.

    Signals:
        review_wanted: A person wants to see where the version in use is wrong.
    """

    review_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("look", "card")
        self._picture = QLabel()
        self._title = make_label("title")
        self._detail = make_label("muted")
        self.changes = ClassTable()
        self._section = Disclosure(tr("IoU of each class"), self.changes)
        self.review_button = QPushButton(tr("Show where it is wrong"))
        self.review_button.setToolTip(tr("Compare the version in use with all labels, and go to what it confuses"))
        self.review_button.clicked.connect(self.review_wanted)
        words = QVBoxLayout()
        words.setSpacing(SPACE_XS)
        words.addWidget(self._title)
        words.addWidget(self._detail)
        row = QHBoxLayout()
        row.setSpacing(SPACE_S)
        row.addWidget(self._picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE_M, SPACE_M, SPACE_M, SPACE_M)
        column.setSpacing(SPACE_S)
        column.addLayout(row)
        column.addWidget(self._section)
        column.addWidget(self.review_button)

    @property
    def text(self) -> str:
        """What it says."""
        return f"{self._title.text()} {self._detail.text()}".strip()

    def show_outcome(self, outcome: Outcome, changes: Sequence[ClassChange] = (), can_review: bool = False) -> None:
        """Say what came of it."""
        self._title.setText(outcome.title)
        self._detail.setText(outcome.detail)
        self._detail.setVisible(bool(outcome.detail))
        self._picture.setPixmap(icon(outcome.icon).pixmap(ICON_PX, ICON_PX))
        self.changes.show_changes(changes)
        self._section.setVisible(bool(changes))
        self._section.set_open(0 < len(changes) <= _FEW)
        self.review_button.setVisible(can_review)
        self.show()


class ClassTable(QWidget):
    """IoU of each class before and after, and the difference with a sign."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._table = QWidget()
        column.addWidget(self._table)
        self.rows: list[str] = []

    def show_changes(self, changes: Sequence[ClassChange]) -> None:
        """Show these, one a row."""
        table = QWidget()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(SPACE_S)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for place, text in enumerate(("", tr("Class"), tr("Before"), tr("Now"), tr("Change"))):
            grid.addWidget(_cell(text, "muted", is_number=place > 1), 0, place)
        self.rows = []
        for row, change in enumerate(changes, start=1):
            name = ElidedLabel("")
            name.setText(change.name)
            before, after, text = _score(change.before), _score(change.after), change.change_text
            look = "good" if text.startswith("▲") else "error" if text.startswith("▼") else "muted"
            grid.addWidget(Swatch(change.color), row, 0)
            grid.addWidget(name, row, 1)
            for place, (value, of) in enumerate(((before, ""), (after, ""), (text, look)), start=2):
                grid.addWidget(_cell(value, of, is_number=True), row, place)
            self.rows.append(f"{change.name} {before} {after} {text}")
        layout = self.layout()
        assert layout is not None
        layout.replaceWidget(self._table, table)
        self._table.deleteLater()
        self._table = table


class Swatch(QWidget):
    """A small square of a class's colour."""

    def __init__(self, color: Color, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._color = QColor(*color)
        self.setFixedSize(QSize(_SWATCH_PX, _SWATCH_PX))

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(tokens(self.palette()).control, 1))
        painter.setBrush(self._color)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _cell(text: str, look: str, is_number: bool = False) -> QLabel:
    label = QLabel(text)
    label.setProperty("look", look)
    if is_number:
        label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return label
