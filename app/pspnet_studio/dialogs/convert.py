"""Which class becomes which, in this image or in all, and how many pixels of each that changes."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHeaderView,
    QLabel,
    QRadioButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.classes import ClassSet
from pspnet_studio.dialogs.class_boxes import fill_classes, label, primary_button, would_change
from pspnet_studio.messages import tr
from pspnet_studio.model.tool_state import ToolState
from pspnet_studio.theme import SPACE_L, SPACE_S

_WIDTH_PX, _LIST_HEIGHT_PX = 460, 180


class ConvertDialog(QDialog):
    """Counts are shown before anything is changed; a class that is locked is refused.

    Args:
        classes: Of the project.
        tools: The current class is proposed; what is protected is refused.
        image_name: Name of the open image.

    Signals:
        question_changed: Another class or another scope is to be counted.
    """

    question_changed = Signal()

    def __init__(
        self,
        classes: ClassSet,
        tools: ToolState,
        image_name: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Convert class"))
        self.setMinimumWidth(_WIDTH_PX)
        self._tools = tools
        self.from_box, self.to_box = QComboBox(), QComboBox()
        fill_classes(self.from_box, classes)
        fill_classes(self.to_box, classes, with_unlabelled=True)
        self.from_box.setCurrentIndex(max(0, self.from_box.findData(tools.class_id)))
        self.to_box.setCurrentIndex(
            next((n for n in range(self.to_box.count()) if n != self.from_box.currentIndex()), 0)
        )
        self.image_button = QRadioButton(tr("&This image: {name}").format(name=image_name.replace("&", "&&")))
        self.project_button = QRadioButton(tr("&All images of the project"))
        self.image_button.setChecked(True)
        self._list = QTreeWidget()
        self.total_label, self._hint = QLabel(), QLabel()
        self._buttons = QDialogButtonBox()
        self.convert_button = primary_button(self._buttons, tr("Con&vert"))
        self._buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self._lay_out()
        self._num_pixels = 0
        self._is_counted = False
        self.from_box.currentIndexChanged.connect(self._ask_again)
        self.to_box.currentIndexChanged.connect(self._update)
        self.image_button.toggled.connect(self._ask_again)
        self.clear()

    @property
    def from_id(self) -> int:
        """Id of the class that is converted."""
        return int(self.from_box.currentData())

    @property
    def to_id(self) -> int:
        """Id of what it becomes; 255 = unlabelled."""
        return int(self.to_box.currentData())

    @property
    def is_for_project(self) -> bool:
        """Whether all images are meant."""
        return self.project_button.isChecked()

    @property
    def num_rows(self) -> int:
        """How many images are listed."""
        return self._list.topLevelItemCount()

    def clear(self) -> None:
        """Nothing is counted yet."""
        self._list.clear()
        self._num_pixels, self._is_counted = 0, False
        self._update()

    def add_count(self, name: str, num_pixels: int, problem: str = "") -> None:
        """One more image was counted."""
        if not num_pixels and not problem:
            return
        row = QTreeWidgetItem([name, problem or f"{num_pixels:,}"])
        row.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.setToolTip(0, name)
        self._list.addTopLevelItem(row)
        self._num_pixels += num_pixels
        self._update()

    def end_count(self) -> None:
        """Every image was counted."""
        self._is_counted = True
        self._update()

    # --- inside

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(SPACE_S)
        grid.setColumnStretch(1, 1)
        for row, (text, box) in enumerate(((tr("&Convert"), self.from_box), (tr("t&o"), self.to_box))):
            grid.addWidget(label(text, box), row, 0)
            grid.addWidget(box, row, 1)
        scope = QVBoxLayout()
        scope.setSpacing(SPACE_S)
        scope.addWidget(self.image_button)
        scope.addWidget(self.project_button)
        self._list.setHeaderLabels([tr("Image"), tr("Pixels")])
        self._list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self._list.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self._list.header().setStretchLastSection(False)
        self._list.setRootIsDecorated(False)
        self._list.setFixedHeight(_LIST_HEIGHT_PX)
        self._list.setAccessibleName(tr("Pixels of each image that would change"))
        self.total_label.setProperty("look", "title")
        self._hint.setProperty("look", "muted")
        self._hint.setWordWrap(True)
        self._hint.setMinimumHeight(2 * self.fontMetrics().lineSpacing())  # the window keeps its size
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        layout.setSpacing(SPACE_L)
        layout.addLayout(grid)
        layout.addLayout(scope)
        layout.addWidget(self._list)
        layout.addWidget(self.total_label)
        layout.addWidget(self._hint)
        layout.addWidget(self._buttons)

    def _ask_again(self) -> None:
        self.clear()
        self.question_changed.emit()

    def _update(self) -> None:
        is_same, is_locked = self.from_id == self.to_id, self.from_id in self._tools.locked
        is_refused = is_same or is_locked or self._tools.only_unlabelled
        self.convert_button.setEnabled(self._is_counted and self._num_pixels > 0 and not is_refused)
        total = would_change(self._num_pixels)
        if not self._is_counted:
            total = tr("Counting… {total} so far.").format(total=total)
        elif self._num_pixels:
            total += "."
        else:
            total = tr("No pixel has this class.")
        if is_locked:
            total = tr("This class is locked: click its lock in the list of classes first.")
        elif self._tools.only_unlabelled:
            total = tr("Only unlabelled pixels may change now: switch that off in the Tool menu first.")
        elif is_same:
            total = tr("Choose two different classes.")
        self.total_label.setText(total)
        if self.is_for_project:
            self._hint.setText(
                tr(
                    "All masks of the project are written anew. As long as the project is open, Edit > Take back "
                    "conversion or import undoes it where nothing was changed since."
                )
            )
        else:
            self._hint.setText(tr("This is one step that can be undone."))
