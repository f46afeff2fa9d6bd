"""The versions of a project, one of which predicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QDate, QDateTime, QLocale, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QLabel, QRadioButton, QVBoxLayout, QWidget

from pspnet_studio.messages import tr
from pspnet_studio.theme import SPACE_M, SPACE_S, SPACE_XS

if TYPE_CHECKING:
    from pspnet_core.training.versions import Version

_NO_VERSION = 0
"""Id of the radio button for no version; versions count from 1."""


class VersionList(QWidget):
    """A table of versions, newest first, with a radio button each, and one for none.

    Signals:
        chosen: A person chose another version: its number, or None.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = QLabel(tr("Versions"))
        title.setProperty("look", "title")
        self._empty = QLabel(tr("None yet. Label a few areas of two classes or more, then press Fine-tune."))
        self._empty.setProperty("look", "muted")
        self._empty.setWordWrap(True)
        self._group = QButtonGroup(self)
        self._table = QWidget()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACE_S)
        for widget in (title, self._empty, self._table):
            column.addWidget(widget)
        self._group.idClicked.connect(lambda number: self.chosen.emit(number or None))

    def show_versions(self, versions: Sequence[Version]) -> None:
        """Show these versions, given oldest first."""
        for button in self._group.buttons():
            self._group.removeButton(button)
        table = QWidget()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(SPACE_M)
        grid.setVerticalSpacing(SPACE_XS)
        grid.setColumnStretch(1, 1)
        for column, text in enumerate((tr("In use"), tr("Made"), tr("mIoU"), tr("Images"))):
            grid.addWidget(_cell(text, is_number=column > 1), 0, column)
        for row, version in enumerate(reversed(versions), start=1):
            self._add_row(grid, row, version)
        none = QRadioButton(tr("None (no predictions)"))
        none.setToolTip(tr("Show no predictions; the versions stay"))
        self._group.addButton(none, _NO_VERSION)
        grid.addWidget(none, len(versions) + 1, 0, 1, 4)
        layout = self.layout()
        assert layout is not None
        layout.replaceWidget(self._table, table)
        self._table.deleteLater()
        self._table = table
        table.setVisible(bool(versions))
        self._empty.setVisible(not versions)

    def set_current(self, number: int | None) -> None:
        """Mark the version that predicts."""
        button = self._group.button(number or _NO_VERSION)
        if button is not None:
            button.setChecked(True)

    @property
    def empty_text(self) -> str:
        """What it says while there is no version."""
        return self._empty.text()

    def button(self, number: int | None) -> QRadioButton:
        """The radio button of a version."""
        button = self._group.button(number or _NO_VERSION)
        assert isinstance(button, QRadioButton), f"no version {number}"
        return button

    def _add_row(self, grid: QGridLayout, row: int, version: Version) -> None:
        record = version.record
        mean_iou, images = record.get("mean_iou"), record.get("num_images")
        button = QRadioButton(str(version.number))
        button.setAccessibleName(tr("Version {number}").format(number=version.number))
        button.setToolTip(tr("Predict with version {number}").format(number=version.number))
        self._group.addButton(button, version.number)
        made = _date(record.get("created"))
        date = _cell(_short_text(made))
        date.setToolTip(QLocale().toString(made, QLocale.FormatType.LongFormat))
        score = _cell("–" if mean_iou is None else f"{mean_iou:.2f}", is_number=True)
        score.setToolTip(tr("No evidence yet") if mean_iou is None else tr("On held-out areas"))
        grid.addWidget(button, row, 0)
        grid.addWidget(date, row, 1)
        grid.addWidget(score, row, 2)
        grid.addWidget(_cell("" if images is None else str(images), is_number=True), row, 3)


def _cell(text: str, is_number: bool = False) -> QLabel:
    label = QLabel(text)
    label.setProperty("look", "muted")
    if is_number:
        label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return label


def _date(created: object) -> QDateTime:
    """Local time of an ISO text; an invalid date for anything else."""
    return (
        QDateTime.fromString(created, Qt.DateFormat.ISODate).toLocalTime() if isinstance(created, str) else QDateTime()
    )


def _short_text(date: QDateTime) -> str:
    """The time of day for today, else the day."""
    if date.date() == QDate.currentDate():
        return QLocale().toString(date.time(), QLocale.FormatType.ShortFormat)
    return QLocale().toString(date.date(), tr("d MMM yyyy"))
