"""What is imported, which class becomes which, and what that would change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.classes import ClassSet
from pspnet_core.project.formats.catalogue import FORMATS
from pspnet_studio.dialogs.class_boxes import label, primary_button
from pspnet_studio.messages import tr
from pspnet_studio.theme import SPACE_L, SPACE_S

if TYPE_CHECKING:
    from pspnet_core.project.formats.class_match import ClassRow

_WIDTH_PX, _LIST_HEIGHT_PX = 600, 220
_PATIENCE_MS = 400
_MAX_ROWS = 300
_LINES = 4
_LEAVE_OUT = ""  # as of pspnet_core.project.formats.class_match.SKIP, which comes with OpenCV


class ImportAnnotationsDialog(QDialog):
    """Nothing is changed before it is accepted; what would change is worked out in the background.

    Args:
        classes: Of the project.

    Signals:
        question_changed: What would happen is to be worked out anew; see :meth:`set_plan` and :meth:`set_result`.
    """

    question_changed = Signal()

    def __init__(self, classes: ClassSet, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Import annotations"))
        self.setMinimumWidth(_WIDTH_PX)
        self._classes = classes
        self._choices: dict[str, str] = {}
        self._source = QLineEdit(self)
        self._source.setPlaceholderText(tr("A folder, a .zip or a file"))
        self._source.setAcceptDrops(False)
        self._format = QComboBox(self)
        self._format.addItem(tr("Guess"), "")
        for row in FORMATS.values():
            self._format.addItem(tr(row.title), row.id)
        self._over = QComboBox(self)
        self._over.addItem(tr("Only unlabelled and imported pixels"), "free")
        self._over.addItem(tr("Also pixels accepted from a prediction"), "accepted")
        self._over.addItem(tr("Also pixels painted or erased by hand"), "all")
        self._list, self._result = QTreeWidget(self), QLabel(self)
        self._buttons = QDialogButtonBox(self)
        self._import = primary_button(self._buttons, tr("Import"))
        self._buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PATIENCE_MS)
        self._lay_out()
        self._connect()
        self.set_result("", can_import=False)

    @property
    def source(self) -> Path | None:
        """What is imported, if anything is named."""
        text = self._source.text().strip()
        return Path(text).expanduser() if text else None

    @property
    def format(self) -> str | None:
        """Id of the chosen format; None to guess."""
        return str(self._format.currentData()) or None

    @property
    def over(self) -> str:
        """Which labelled pixels may change."""
        return str(self._over.currentData())

    @property
    def choices(self) -> dict[str, str]:
        """Classes that a person named otherwise: name in the source -> name in the project, "" to leave it out."""
        return dict(self._choices)

    def set_source(self, source: Path) -> None:
        """Name the source."""
        self._source.setText(str(source))

    def choose(self, name: str, target: str) -> None:
        """Let a class of the source be another one of the project; "" leaves it out."""
        self._choices[name] = target
        self._ask()

    def set_plan(self, rows: Sequence[ClassRow]) -> None:
        """Show which class becomes which."""
        self._list.clear()
        for row in rows[:_MAX_ROWS]:
            item = QTreeWidgetItem([row.name])
            item.setToolTip(0, row.name)
            self._list.addTopLevelItem(item)
            self._list.setItemWidget(item, 1, self._target_box(row))

    def set_result(self, text: str, can_import: bool) -> None:
        """Show what would happen."""
        self._result.setText(text)
        self._import.setEnabled(can_import)

    # --- inside

    def _target_box(self, row: ClassRow) -> QComboBox:
        box = QComboBox(self._list)
        for c in self._classes:
            box.addItem(c.name, c.name)
        new = row.target if row.target is not None and row.class_id is None else row.name
        if new not in self._classes.names:
            box.addItem(tr("New class: {name}").format(name=new), new)
        box.addItem(tr("Leave out"), _LEAVE_OUT)
        box.setCurrentIndex(box.findData(_LEAVE_OUT if row.target is None else row.target))
        box.activated.connect(lambda _: self.choose(row.name, str(box.currentData())))
        return box

    def _lay_out(self) -> None:
        folder, file = QPushButton(tr("Fol&der…"), self), QPushButton(tr("F&ile…"), self)
        folder.clicked.connect(self._choose_folder)
        file.clicked.connect(self._choose_file)
        place = QHBoxLayout()
        place.setSpacing(SPACE_S)
        place.addWidget(self._source, 1)
        place.addWidget(folder)
        place.addWidget(file)
        grid = QGridLayout()
        grid.setSpacing(SPACE_S)
        grid.setColumnStretch(1, 1)
        grid.addWidget(label(tr("&Source"), self._source), 0, 0)
        grid.addLayout(place, 0, 1)
        for row, (text, box) in enumerate(((tr("&Format"), self._format), (tr("May &change"), self._over)), 1):
            grid.addWidget(label(text, box), row, 0)
            grid.addWidget(box, row, 1)
        self._list.setHeaderLabels([tr("Class of the source"), tr("becomes")])
        self._list.header().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self._list.setRootIsDecorated(False)
        self._list.setFixedHeight(_LIST_HEIGHT_PX)
        self._list.setAccessibleName(tr("Which class becomes which"))
        hint = QLabel(
            tr(
                "Each image gets one step that can be undone; Edit > Take back conversion or import undoes all of them."
            ),
            self,
        )
        for text in (self._result, hint):
            text.setWordWrap(True)
        hint.setProperty("look", "muted")
        self._result.setMinimumHeight(_LINES * self.fontMetrics().lineSpacing())  # the window keeps its size
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(grid)
        for widget in (self._list, self._result, hint, self._buttons):
            layout.addWidget(widget)

    def _connect(self) -> None:
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self._timer.timeout.connect(self.question_changed)
        self._over.currentIndexChanged.connect(self._ask)
        self._source.textChanged.connect(self._begin_anew)
        self._format.currentIndexChanged.connect(self._begin_anew)

    def _begin_anew(self) -> None:
        self._choices.clear()
        self._list.clear()
        self._ask()

    def _ask(self) -> None:
        self.set_result("", can_import=False)
        self._timer.start()

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Import from"), self._source.text())
        if folder:
            self._source.setText(folder)

    def _choose_file(self) -> None:
        file, _ = QFileDialog.getOpenFileName(
            self,
            tr("Import from"),
            self._source.text(),
            tr("Annotations (*.json *.xml *.zip *.txt *.yaml *.npy *.png);;All files (*)"),
        )
        if file:
            self._source.setText(file)
