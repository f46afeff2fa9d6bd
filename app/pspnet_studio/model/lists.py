"""The list of images: what a view shows of each, and the order after filter and sort.

A view of 100,000 images asks only for the rows it paints. What filter and sort need lies in plain lists, so that a new
order is one pass and one ``sorted``; with ``QSortFilterProxyModel`` it would be a call into Python per comparison.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection
from math import inf
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Signal

from pspnet_core.classes import ClassSet
from pspnet_core.project.project import Item, ItemState, Status
from pspnet_studio.messages import tr
from pspnet_studio.model.list_roles import ItemRole as ItemRole
from pspnet_studio.model.list_roles import SortBy as SortBy
from pspnet_studio.model.list_roles import SuggestionSource, ThumbnailSource
from pspnet_studio.model.search import row_matcher
from pspnet_studio.model.session import Session

_Index = QModelIndex | QPersistentModelIndex
_NO_INDEX = QModelIndex()
_STATUS_ORDER = {Status.IN_PROGRESS: 0, Status.NEW: 1, Status.DONE: 2, Status.SKIPPED: 3}


_STATE_ROLES = [
    ItemRole.STATUS.value,
    ItemRole.SHARE.value,
    ItemRole.PAINTED.value,
    ItemRole.ACCEPTED.value,
    ItemRole.IMPORTED.value,
    ItemRole.TOOL_TIP.value,
    ItemRole.ACCESSIBLE_TEXT.value,
]


def status_text(status: Status) -> str:
    """A status in words."""
    return {
        Status.NEW: tr("New"),
        Status.IN_PROGRESS: tr("In progress"),
        Status.DONE: tr("Done"),
        Status.SKIPPED: tr("Skipped"),
    }[status]


def share_text(share: float) -> str:
    """A labelled share in words: never "0 %" for something, never "100 %" for less than everything."""
    if 0 < share < 0.01:
        return tr("<1 %")
    percent = 100 if share >= 1 else min(99, round(share * 100))
    return tr("{percent} %").format(percent=percent)


class ItemListModel(QAbstractListModel):
    """One row per item of the session's project, in its order: the natural one of the keys.

    Args:
        session: Whose project; the model follows it.
        thumbnails: Asked for the rows that are painted; none are shown when None.
    """

    def __init__(
        self, session: Session, thumbnails: ThumbnailSource | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._thumbnails = thumbnails
        self.suggestions: SuggestionSource | None = None
        self.items: list[Item] = []
        self.statuses: list[Status] = []
        self.shares: list[float] = []
        self.painted: list[float] = []
        self.accepted: list[float] = []
        self.imported: list[bool] = []
        self.class_ids: list[tuple[int, ...]] = []
        self._counts: Counter[Status] = Counter()
        self._folded_keys: list[str] | None = None
        self._rows: dict[str, int] = {}
        session.project_changed.connect(self.reload)
        session.items_changed.connect(self.reload)
        session.state_changed.connect(self.refresh)
        self.reload()

    def reload(self) -> None:
        """Read the project again."""
        self.beginResetModel()
        project = self._session.project
        self.items = list(project.items) if project else []
        states = [project.state(item.key) for item in self.items] if project else []
        self.statuses = [state.status for state in states]
        self.shares = [_share(state.labelled_px, state.total_px) for state in states]
        self.painted = [_share(state.painted_px, state.total_px) for state in states]
        self.accepted = [_share(state.accepted_px, state.total_px) for state in states]
        self.imported = list(map(_is_imported, self.items, states))
        self.class_ids = [state.class_ids for state in states]
        self._counts = Counter(self.statuses)
        self._folded_keys = None
        self._rows = {item.key: row for row, item in enumerate(self.items)}
        self.endResetModel()

    def row_of(self, key: str | None) -> int | None:
        """Row of an item; None when it is not there."""
        return None if key is None else self._rows.get(key)

    def count(self, status: Status) -> int:
        """How many items have a status."""
        return self._counts[status]

    def folded_keys(self) -> list[str]:
        """Keys for searching, in row order, regardless of case."""
        if self._folded_keys is None:
            self._folded_keys = [item.key.casefold() for item in self.items]
        return self._folded_keys

    def searching(self, words: list[str]) -> Callable[[int], bool]:
        """Says of a row whether it is found by all words (:func:`row_matcher`)."""
        project, names = self._session.project, {status: status_text(status) for status in Status}
        classes = ClassSet() if project is None else project.classes
        return row_matcher(words, self.folded_keys(), self.statuses, self.class_ids, classes, names)

    def on_thumbnail_arrived(self, key: str) -> None:
        """Repaint the row whose thumbnail is there now."""
        row = self._rows.get(key)
        if row is not None:
            self.dataChanged.emit(self.index(row), self.index(row), [ItemRole.THUMBNAIL.value])

    def value(self, row: int, role: int) -> Any:
        """What row ``row`` has in ``role``; None for other roles."""
        item = self.items[row]
        match role:
            case ItemRole.NAME:
                return _name(item)
            case ItemRole.KEY:
                return item.key
            case ItemRole.FOLDER:
                return item.key.rpartition("/")[0]
            case ItemRole.STATUS:
                return self.statuses[row]
            case ItemRole.SPLIT:
                return item.split
            case ItemRole.SHARE:
                return self.shares[row]
            case ItemRole.PAINTED:
                return self.painted[row]
            case ItemRole.ACCEPTED:
                return self.accepted[row]
            case ItemRole.IMPORTED:
                return self.imported[row]
            case ItemRole.THUMBNAIL:
                return None if self._thumbnails is None else self._thumbnails.thumbnail(item.key)
            case ItemRole.SUGGESTION:
                return None if self.suggestions is None else self.suggestions.suggestion(item.key)
            case ItemRole.TOOL_TIP | ItemRole.ACCESSIBLE_TEXT:
                return self._description(row)
        return None

    def _description(self, row: int) -> str:
        item = self.items[row]
        words = tr("{key}: {status}, mask imported") if self.imported[row] else tr("{key}: {status}, {share} labelled")
        text = words.format(
            key=item.key, status=status_text(self.statuses[row]).lower(), share=share_text(self.shares[row])
        )
        parts = (tr("{share} painted"), self.painted[row]), (tr("{share} accepted"), self.accepted[row])
        if origins := [part.format(share=share_text(share)) for part, share in parts if share]:
            text = tr("{text} ({parts})").format(text=text, parts=", ".join(origins))
        if suggestion := self.value(row, ItemRole.SUGGESTION):
            line = tr("Suggested as number {place}: {reason}")
            text += "\n" + line.format(place=suggestion.place, reason=suggestion.text)
        return text

    def refresh(self, key: str) -> None:
        """Read the state of one item again."""
        row, project = self._rows.get(key), self._session.project
        if row is None or project is None:
            return
        state = project.state(key)
        pixels = state.labelled_px, state.painted_px, state.accepted_px
        shares = tuple(_share(count, state.total_px) for count in pixels)
        is_imported = _is_imported(self.items[row], state)
        self.class_ids[row] = state.class_ids
        before = self.shares[row], self.painted[row], self.accepted[row]
        if (state.status, is_imported, shares) == (self.statuses[row], self.imported[row], before):
            return
        self._counts[self.statuses[row]] -= 1
        self._counts[state.status] += 1
        self.statuses[row] = state.status
        self.shares[row], self.painted[row], self.accepted[row] = shares
        self.imported[row] = is_imported
        self.dataChanged.emit(self.index(row), self.index(row), _STATE_ROLES)

    def rowCount(self, parent: _Index = _NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self.items)

    def data(self, index: _Index, role: int = ItemRole.NAME) -> Any:
        return self.value(index.row(), role) if index.isValid() else None


class ItemFilterModel(QAbstractListModel):
    """The rows of an :class:`ItemListModel` that match, in the order that was asked for.

    A change of one item takes its row out or in, but never moves it: rows that jump while one paints would be lost
    from sight. The kept item (the open image) stays although it no longer matches, until another one is kept.

    Signals:
        order_changed: :meth:`keys` is different.
    """

    order_changed = Signal()

    def __init__(self, source: ItemListModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._source = source
        self._words: list[str] = []
        self._statuses: frozenset[Status] = frozenset(Status)
        self._sort_by = SortBy.NAME
        self._is_descending = False
        self._kept_key: str | None = None
        self._order: list[int] = []
        self._places: dict[int, int] | None = None
        source.modelReset.connect(self._rebuild)
        source.dataChanged.connect(self._on_source_data_changed)
        self._rebuild()

    @property
    def source(self) -> ItemListModel:
        """The model with all items."""
        return self._source

    @property
    def is_filtering(self) -> bool:
        """Whether something is asked for that could hide items."""
        return bool(self._words) or self._statuses != frozenset(Status)

    @property
    def sort_by(self) -> SortBy:
        """What the rows are ordered by."""
        return self._sort_by

    @property
    def is_descending(self) -> bool:
        """Whether the order is reversed."""
        return self._is_descending

    def keys(self) -> list[str]:
        """Keys of the shown items, in order."""
        items = self._source.items
        return [items[row].key for row in self._order]

    def row_of(self, key: str | None) -> int | None:
        """Shown row of an item; None when it is not shown."""
        row = self._source.row_of(key)
        return None if row is None else self._place(row)

    def set_text(self, text: str) -> None:
        """Show items that have every word of ``text`` in their key, as their status or as a class in their mask."""
        words = text.casefold().split()
        if words != self._words:
            self._words = words
            self._rebuild()

    def set_statuses(self, statuses: Collection[Status]) -> None:
        """Show items with one of these statuses."""
        if frozenset(statuses) != self._statuses:
            self._statuses = frozenset(statuses)
            self._rebuild()

    def set_sort(self, sort_by: SortBy, is_descending: bool = False) -> None:
        """Order the rows."""
        if (sort_by, is_descending) != (self._sort_by, self._is_descending):
            self._sort_by, self._is_descending = sort_by, is_descending
            self._rebuild()

    def on_suggestions_changed(self) -> None:
        """Order the rows anew where that is by suggestion."""
        if self._sort_by is SortBy.SUGGESTED:
            self._rebuild()

    def keep(self, key: str | None) -> None:
        """Keep this item in the list although it may stop matching; the one kept before is judged anew."""
        before, self._kept_key = self._kept_key, key
        for changed in (before, key):
            row = self._source.row_of(changed)
            if before != key and row is not None:
                self._judge(row)

    # --- inside

    def _matcher(self) -> Callable[[int], bool]:
        statuses, wanted, words = self._source.statuses, self._statuses, self._words
        kept = self._source.row_of(self._kept_key)
        if words:
            is_found = self._source.searching(words)
            return lambda row: row == kept or (statuses[row] in wanted and is_found(row))
        return lambda row: row == kept or statuses[row] in wanted

    def _sort_key(self) -> Callable[[int], float]:
        match self._sort_by:
            case SortBy.STATUS:
                statuses = self._source.statuses
                return lambda row: _STATUS_ORDER[statuses[row]]
            case SortBy.LABELLED:
                shares = self._source.shares
                return lambda row: shares[row]
            case SortBy.PAINTED:
                painted = self._source.painted
                return lambda row: painted[row]
            case SortBy.ACCEPTED:
                accepted = self._source.accepted
                return lambda row: accepted[row]
            case SortBy.SUGGESTED:
                items, queue = self._source.items, self._source.suggestions
                places = (lambda _: None) if queue is None else queue.place
                return lambda row: inf if (place := places(items[row].key)) is None else place
        return float

    def _rebuild(self) -> None:
        self.beginResetModel()
        num_rows = self._source.rowCount()
        self._order = list(filter(self._matcher(), range(num_rows))) if self.is_filtering else list(range(num_rows))
        if self._sort_by is not SortBy.NAME:
            self._order.sort(key=self._sort_key())  # stable: equal ones stay in order of name
        if self._is_descending:
            self._order.reverse()
        self._places = None
        self.endResetModel()
        self.order_changed.emit()

    def _place(self, row: int) -> int | None:
        if self._places is None:
            self._places = {source_row: place for place, source_row in enumerate(self._order)}
        return self._places.get(row)

    def _judge(self, row: int) -> None:
        place, matches = self._place(row), self._matcher()(row)
        if place is not None and not matches:
            self.beginRemoveRows(_NO_INDEX, place, place)
            del self._order[place]
            self._places = None
            self.endRemoveRows()
        elif place is None and matches:
            place = self._place_to_insert(row)
            self.beginInsertRows(_NO_INDEX, place, place)
            self._order.insert(place, row)
            self._places = None
            self.endInsertRows()
        else:
            return
        self.order_changed.emit()

    def _place_to_insert(self, row: int) -> int:
        """Near its right place: rows that changed since the last sort did not move."""
        value = self._sort_key()
        sign = -1 if self._is_descending else 1
        return bisect_left(
            self._order,
            (sign * value(row), sign * row),
            key=lambda other: (sign * value(other), sign * other),
        )

    def _on_source_data_changed(self, first: QModelIndex, last: QModelIndex, roles: list[int]) -> None:
        for row in range(first.row(), last.row() + 1):
            if ItemRole.STATUS in roles:
                self._judge(row)
            place = self._place(row)
            if place is not None:
                self.dataChanged.emit(self.index(place), self.index(place), roles)

    def rowCount(self, parent: _Index = _NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self._order)

    def data(self, index: _Index, role: int = ItemRole.NAME) -> Any:
        if not index.isValid() or (role == ItemRole.SUGGESTION and self._sort_by is not SortBy.SUGGESTED):
            return None
        return self._source.value(self._order[index.row()], role)


def _share(num_px: int | None, total_px: int) -> float:
    return num_px / total_px if num_px and total_px > 0 else 0.0


def _is_imported(item: Item, state: ItemState) -> bool:
    return item.found_mask is not None and state.total_px == 0


def _name(item: Item) -> str:
    if item.num_pages == 1:
        return item.key.rpartition("/")[2]
    return tr("{name} · page {page}").format(name=item.image_path.name, page=item.page + 1)
