"""The list of images: thumbnails, status, filter and sort; what it shows is what next and previous follow."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QActionGroup, QContextMenuEvent, QGuiApplication, QKeyEvent, QMouseEvent, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QStackedWidget,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from pspnet_core.project.project import Status
from pspnet_studio.assets import icon
from pspnet_studio.messages import tr
from pspnet_studio.model.lists import ItemFilterModel, ItemListModel, ItemRole, SortBy, status_text
from pspnet_studio.model.queue import Queue
from pspnet_studio.model.session import Session
from pspnet_studio.panels.empty import EmptyState
from pspnet_studio.panels.rows import STATUS_ICONS, ItemDelegate
from pspnet_studio.panels.thumbnails import ThumbnailCache
from pspnet_studio.theme import SPACE_S, SPACE_XS

_FILTER_DELAY_MS = 120


class ImagesPanel(QWidget):
    """Shows the items of the session's project and opens the one that is chosen.

    Args:
        session: Told the order (``set_order``), the chosen image (``go_to``) and statuses (``set_status``).
        thumbnails: Pictures of the rows; of the session's own images when not given.

    Signals:
        order_chosen: A value of ``SortBy``, and whether the order is reversed.
    """

    order_chosen = Signal(str, bool)

    def __init__(
        self, session: Session, thumbnails: ThumbnailCache | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._thumbnails = thumbnails = thumbnails or ThumbnailCache(session, self._largest_ratio(), parent=self)
        self.model = ItemListModel(session, thumbnails, self)
        self.shown = ItemFilterModel(self.model, self)
        self._status_menu: QMenu | None = None
        self._filter_timer = QTimer(self, singleShot=True, interval=_FILTER_DELAY_MS)
        self._filter_timer.timeout.connect(self._apply_text)
        self._search = self._make_search()
        self._status_filter = self._make_status_filter()
        self._sort_button = self._make_sort_button()
        self._count = QLabel()
        self._count.setProperty("look", "muted")
        self.view = _ItemView(self)
        self.view.setModel(self.shown)
        self.view.setItemDelegate(ItemDelegate(self.view, lambda: session.current_key))
        self.view.fit_rows()
        self._queue: Queue | None = None
        self._footer = QLabel()
        self._footer.setProperty("look", "muted")
        self._footer.setContentsMargins(SPACE_S, SPACE_XS, SPACE_S, SPACE_XS)
        self._footer.setWordWrap(True)
        self._footer.hide()
        self._pages = QStackedWidget()
        self._empty = EmptyState("image", "", "")
        self._clear_button = QPushButton(tr("Show all images"))
        self._clear_button.clicked.connect(self.clear_filter)
        self._empty.add_widget(self._clear_button)
        self._lay_out()

        thumbnails.arrived.connect(self.model.on_thumbnail_arrived)
        self.shown.order_changed.connect(self._on_order_changed)
        self.model.dataChanged.connect(self._update_words)
        self.view.selectionModel().currentChanged.connect(self._on_current_row_changed)
        session.document_changed.connect(self._follow_session)
        session.loading_changed.connect(self._follow_session)
        session.project_changed.connect(self._on_project_changed)
        self._on_order_changed()

    def follow(self, queue: Queue) -> None:
        """Offer the order of a queue of next images, and tell how far it is."""
        self._queue = queue
        self.model.suggestions = queue
        queue.changed.connect(self._on_suggestions_changed)
        queue.progressed.connect(self._update_footer)
        self.shown.order_changed.connect(self._update_footer)
        self._update_footer()

    def set_order(self, sort_by: str, is_reversed: bool) -> None:
        """Order the list by a value of ``SortBy``; one that nobody knows is passed over."""
        for action in self._orders.actions():
            if SortBy(action.data()).value == sort_by:
                action.setChecked(True)
                self._reverse.setChecked(is_reversed)
                self.shown.set_sort(SortBy(sort_by), is_reversed)

    def clear_filter(self) -> None:
        """Show all images again."""
        self._search.clear()
        self._status_filter.setCurrentIndex(0)
        self._apply_text()

    def retry_thumbnails(self) -> None:
        """Read again the pictures that could not be read."""
        self._thumbnails.retry()

    def show_status_menu(self, index: QModelIndex, position: QPoint) -> None:
        """Let the status of a row be chosen, at a global position."""
        if not index.isValid():
            return
        key, current = index.data(ItemRole.KEY), Status(index.data(ItemRole.STATUS))
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        words = {
            Status.NEW: tr("Mark as new"),
            Status.IN_PROGRESS: tr("Mark as in progress"),
            Status.DONE: tr("Mark as done"),
            Status.SKIPPED: tr("Skip this image"),
        }
        for status, text in words.items():
            action = menu.addAction(icon(STATUS_ICONS[status]), text)
            action.setData(status)
            action.setEnabled(status != current)
            action.triggered.connect(lambda _checked=False, s=status: self._session.set_status(key, s))
        self._status_menu = menu
        menu.popup(position)

    # --- building

    @staticmethod
    def _largest_ratio() -> float:
        return max((screen.devicePixelRatio() for screen in QGuiApplication.screens()), default=1.0)

    def _make_search(self) -> QLineEdit:
        search = QLineEdit()
        search.setPlaceholderText(tr("Search images"))
        search.setAccessibleName(tr("Search images"))
        search.setToolTip(tr("Show only images whose name or folder contains these words"))
        search.setClearButtonEnabled(True)
        search.addAction(icon("search", QPalette.ColorRole.PlaceholderText), QLineEdit.ActionPosition.LeadingPosition)
        search.textChanged.connect(lambda _text: self._filter_timer.start())
        search.returnPressed.connect(self._apply_text)
        return search

    def _make_status_filter(self) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(tr("Filter by status"))
        box.setToolTip(tr("Show only images of this status"))
        box.addItem(tr("All images"), frozenset(Status))
        box.addItem(tr("To do"), frozenset({Status.NEW, Status.IN_PROGRESS}))
        for status in Status:
            box.addItem(icon(STATUS_ICONS[status]), status_text(status), frozenset({status}))
        box.currentIndexChanged.connect(lambda _i: self.shown.set_statuses(box.currentData()))
        return box

    def _make_sort_button(self) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon("sort"))
        button.setToolTip(tr("Sort images"))
        button.setAccessibleName(tr("Sort images"))
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        group = QActionGroup(menu)
        for sort_by, text in (
            (SortBy.NAME, tr("By name")),
            (SortBy.STATUS, tr("By status")),
            (SortBy.LABELLED, tr("By labelled share")),
            (SortBy.PAINTED, tr("By painted share")),
            (SortBy.ACCEPTED, tr("By accepted share")),
            (SortBy.SUGGESTED, tr("Suggested first")),
        ):
            action = group.addAction(QAction(text, menu, checkable=True))
            action.setData(sort_by)
            action.setChecked(sort_by is SortBy.NAME)
            menu.addAction(action)
        menu.addSeparator()
        self._reverse = menu.addAction(tr("Reverse order"))
        self._reverse.setCheckable(True)
        self._orders = group
        menu.triggered.connect(self._on_order_chosen)
        button.setMenu(menu)
        return button

    def _lay_out(self) -> None:
        tools = QHBoxLayout()
        tools.setSpacing(SPACE_XS)
        tools.addWidget(self._status_filter, 1)
        tools.addWidget(self._sort_button)
        head = QVBoxLayout()
        head.setContentsMargins(SPACE_S, SPACE_S, SPACE_S, SPACE_XS)
        head.setSpacing(SPACE_S)
        head.addWidget(self._search)
        head.addLayout(tools)
        head.addWidget(self._count)
        self._pages.addWidget(self.view)
        self._pages.addWidget(self._empty)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self._pages, 1)
        layout.addWidget(self._footer)

    # --- following

    def _on_order_chosen(self) -> None:
        sort_by, is_reversed = SortBy(self._orders.checkedAction().data()), self._reverse.isChecked()
        self.shown.set_sort(sort_by, is_reversed)
        self.order_chosen.emit(sort_by.value, is_reversed)

    def _on_suggestions_changed(self) -> None:
        bar = self.view.verticalScrollBar()
        value = bar.value()
        self.shown.on_suggestions_changed()
        bar.setValue(value)  # what somebody looks for is in another place, but the list does not jump
        self._update_footer()

    def _update_footer(self) -> None:
        queue = self._queue
        assert queue is not None
        is_sorted = self.shown.sort_by is SortBy.SUGGESTED
        text = ""
        if queue.progress is not None:
            done, total = queue.progress
            text = tr("Looking at images: {done} of {total}").format(done=done, total=total)
        elif is_sorted and not queue.is_on:
            text = tr("No image is suggested: switch on Model › Suggest next images.")
        elif is_sorted and self._session.project is not None and not queue.order:
            text = tr("No image is left to suggest.") if queue.is_ready else tr("Nothing is suggested yet.")
        self._footer.setText(text)
        self._footer.setVisible(bool(text))

    def _apply_text(self) -> None:
        self._filter_timer.stop()
        self.shown.set_text(self._search.text())

    def _on_project_changed(self) -> None:
        self.clear_filter()
        self._follow_session()

    def _on_order_changed(self) -> None:
        if self._session.project is not None:
            self._session.set_order(self.shown.keys())
        self._update_words()
        self._mark_current()

    def _follow_session(self) -> None:
        self.shown.keep(self._session.current_key)
        self._mark_current()
        self.view.viewport().update()

    def _mark_current(self) -> None:
        row = self.shown.row_of(self._session.current_key)
        selection = self.view.selectionModel()
        if selection is None or row == (selection.currentIndex().row() if selection.hasSelection() else None):
            return
        if row is None:
            selection.clear()
        else:
            self.view.setCurrentIndex(self.shown.index(row))
            self.view.scrollTo(self.shown.index(row))
        self.view.viewport().update()

    def _on_current_row_changed(self, index: QModelIndex) -> None:
        # Rows that come and go move Qt's current row, too; only a chosen one is followed.
        if index.isValid() and self.view.is_choosing:
            self.view.is_choosing = False
            self._session.go_to(index.data(ItemRole.KEY))

    def _update_words(self) -> None:
        num_all, num_shown = self.model.rowCount(), self.shown.rowCount()
        num_done = self.model.count(Status.DONE)
        self._count.setVisible(num_all > 0)
        for widget in (self._search, self._status_filter, self._sort_button):
            widget.setEnabled(num_all > 0)
        if self.shown.is_filtering:
            text = tr("{shown} of {all} images · {done} done")
        elif num_all == 1:
            text = tr("1 image · {done} done")
        else:
            text = tr("{all} images · {done} done")
        self._count.setText(text.format(shown=num_shown, all=num_all, done=num_done))
        self._pages.setCurrentWidget(self.view if num_shown else self._empty)
        self._clear_button.setVisible(num_all > 0)
        if self._session.project is None:
            self._empty.set_words(
                tr("No images yet"), tr("Drop a folder of photos onto the window, or press Ctrl+O to choose one.")
            )
        elif num_all == 0:
            self._empty.set_words(
                tr("This folder holds no images"), tr("Drop photos onto the window to add them to the project.")
            )
        else:
            self._empty.set_words(tr("No image matches"), tr("Use other words or another status."))


class _ItemView(QTableView):
    """The list itself; knows whether a person is choosing a row.

    A table of one column: its rows are of one height, so that 100,000 of them need no layout (``QListView`` asks for
    each of them, in 200 ms, whenever one goes or comes).
    """

    def __init__(self, panel: ImagesPanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self.is_choosing = False
        self.setAccessibleName(tr("Images"))
        self.horizontalHeader().hide()
        self.horizontalHeader().setStretchLastSection(True)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.DefaultContextMenu)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            event.accept()  # the context menu acts on the row under the mouse without opening it
            return
        self.is_choosing = True
        try:
            super().mousePressEvent(event)
        finally:
            self.is_choosing = False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self.is_choosing = True
        try:
            if event.key() in (Qt.Key.Key_Home, Qt.Key.Key_End):  # of the list, not of the row
                last = self.model().rowCount() - 1
                self.setCurrentIndex(self.model().index(0 if event.key() == Qt.Key.Key_Home else last, 0))
            else:
                super().keyPressEvent(event)
        finally:
            self.is_choosing = False

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            index = self.currentIndex()
            position = self.viewport().mapToGlobal(self.visualRect(index).center())
        else:
            index, position = self.indexAt(event.pos()), event.globalPos()
        self._panel.show_status_menu(index, position)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.fit_rows()

    def fit_rows(self) -> None:
        """Give the rows the height that the font needs."""
        delegate = self.itemDelegate()
        if isinstance(delegate, ItemDelegate):
            self.verticalHeader().setDefaultSectionSize(delegate.row_height(self.font()))
