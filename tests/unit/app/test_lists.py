"""Order, filter and sort of the list of images, also for very many of them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtTest import QAbstractItemModelTester

from pspnet_core.classes import ClassSet
from pspnet_core.project.project import Status
from pspnet_studio.model.lists import (
    ItemFilterModel,
    ItemListModel,
    ItemRole,
    SortBy,
    share_text,
)
from tests.helpers.fakes import FakeProject, FakeSession

pytestmark = pytest.mark.usefixtures("qapp")

TODO = {Status.NEW, Status.IN_PROGRESS}


class Thumbnails:
    """Counts what is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def thumbnail(self, key: str) -> object | None:
        self.asked.append(key)
        return None


def make(keys: list[str], **statuses: Status) -> tuple[FakeSession, ItemFilterModel]:
    """Session and filter model; ``statuses`` by name without suffix."""
    project = FakeProject(keys)
    for key in keys:
        if (name := key.rpartition("/")[2].partition(".")[0]) in statuses:
            project.set_state(key, status=statuses[name])
    session = FakeSession(project)
    shown = ItemFilterModel(ItemListModel(session))
    # Qt's own tester watches the model for as long as it lives.
    shown.setProperty("tester", QAbstractItemModelTester(shown, QAbstractItemModelTester.FailureReportingMode.Fatal))
    return session, shown


def test_rows_are_in_the_order_of_the_project() -> None:
    session, shown = make(["img10.jpg", "IMG9.jpg", "b/a2.jpg", "b/a11.jpg", "b-a.jpg"])
    assert session.project is not None
    assert shown.keys() == [item.key for item in session.project.items]
    assert shown.keys() == ["b/a2.jpg", "b/a11.jpg", "b-a.jpg", "IMG9.jpg", "img10.jpg"]


def test_roles_say_what_the_row_shows() -> None:
    session, shown = make(["a/b/photo.jpg"])
    session.change("a/b/photo.jpg", status=Status.IN_PROGRESS, labelled_px=25, total_px=100)
    index = shown.index(0)
    assert index.data() == "photo.jpg"
    assert index.data(ItemRole.FOLDER) == "a/b"
    assert index.data(ItemRole.KEY) == "a/b/photo.jpg"
    assert index.data(ItemRole.SHARE) == 0.25
    assert index.data(ItemRole.TOOL_TIP) == "a/b/photo.jpg: in progress, 25 % labelled"


def test_description_says_where_labels_come_from() -> None:
    session, shown = make(["a.jpg", "b.jpg"])
    session.change("a.jpg", labelled_px=60, total_px=100, painted_px=45, accepted_px=5)
    session.change("b.jpg", labelled_px=60, total_px=100, painted_px=0, accepted_px=60)
    index = shown.index(0)
    assert (index.data(ItemRole.PAINTED), index.data(ItemRole.ACCEPTED)) == (0.45, 0.05)
    assert index.data(ItemRole.TOOL_TIP) == "a.jpg: new, 60 % labelled (45 % painted, 5 % accepted)"
    assert shown.index(1).data(ItemRole.ACCESSIBLE_TEXT) == "b.jpg: new, 60 % labelled (60 % accepted)"


def test_a_mask_that_was_found_but_not_counted_is_told_and_is_no_zero() -> None:
    session, shown = make(["a.jpg", "b.jpg"])
    project = session.project
    assert project is not None
    project.items = tuple(replace(item, found_mask=Path("masks") / f"{item.key}.png") for item in project.items)
    session.project_changed.emit()
    index = shown.index(0)
    assert index.data(ItemRole.IMPORTED) is True
    assert index.data(ItemRole.TOOL_TIP) == "a.jpg: new, mask imported"
    changed: list[tuple[int, list[int]]] = []
    shown.dataChanged.connect(lambda first, _last, roles: changed.append((first.row(), roles)))
    session.change("a.jpg", labelled_px=0, total_px=100)  # opened: the mask is empty
    assert [(row, ItemRole.IMPORTED in roles) for row, roles in changed] == [(0, True)]
    assert index.data(ItemRole.IMPORTED) is False
    assert index.data(ItemRole.TOOL_TIP) == "a.jpg: new, 0 % labelled"
    assert shown.index(1).data(ItemRole.IMPORTED) is True


def test_only_another_origin_of_the_same_pixels_is_told_too() -> None:
    session, shown = make(["a.jpg"])
    session.change("a.jpg", labelled_px=60, total_px=100, painted_px=0, accepted_px=60)
    told: list[list[int]] = []
    shown.dataChanged.connect(lambda _first, _last, roles: told.append(list(roles)))
    session.change("a.jpg", painted_px=60, accepted_px=0)
    assert any(ItemRole.PAINTED in roles for roles in told)


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.0001, "<1 %"), (0.5, "50 %"), (0.9999, "99 %"), (1, "100 %")]
)
def test_share_is_never_rounded_to_nothing_or_all(share: float, text: str) -> None:
    assert share_text(share) == text


def test_text_filter_wants_every_word_in_name_or_folder() -> None:
    _, shown = make(["north/field1.jpg", "north/road1.jpg", "south/field2.jpg"])
    shown.set_text("  FIELD nor ")
    assert shown.keys() == ["north/field1.jpg"]
    shown.set_text("")
    assert len(shown.keys()) == 3


def test_text_filter_finds_a_status_and_the_classes_of_a_mask() -> None:
    session, shown = make(["a.jpg", "b.jpg", "c/roadside.jpg"], b=Status.DONE)
    assert session.project is not None
    session.project.classes = ClassSet().add("Road").add("sky")
    session.change("a.jpg", labelled_px=5, total_px=100, class_ids=(0, 1))
    for text, found in {
        "road": ["a.jpg", "c/roadside.jpg"],
        "sky": ["a.jpg"],
        "done": ["b.jpg"],
        "done sky": [],
        "sky a.j": ["a.jpg"],
        "do": [],  # too short for anything but names
    }.items():
        shown.set_text(text)
        assert shown.keys() == found


def test_status_filter() -> None:
    _, shown = make(["a.jpg", "b.jpg", "c.jpg"], b=Status.DONE, c=Status.SKIPPED)
    shown.set_statuses(TODO)
    assert shown.is_filtering
    assert shown.keys() == ["a.jpg"]


def test_sorting_by_status_puts_work_first_and_keeps_names_in_order() -> None:
    _, shown = make(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], a=Status.SKIPPED, b=Status.DONE, d=Status.IN_PROGRESS)
    shown.set_sort(SortBy.STATUS)
    assert shown.keys() == ["d.jpg", "c.jpg", "b.jpg", "a.jpg"]
    shown.set_sort(SortBy.NAME, is_descending=True)
    assert shown.keys() == ["d.jpg", "c.jpg", "b.jpg", "a.jpg"]


def test_sorting_by_labelled_share() -> None:
    session, shown = make(["a.jpg", "b.jpg", "c.jpg"])
    session.change("a.jpg", labelled_px=9, total_px=10)
    session.change("b.jpg", labelled_px=1, total_px=10)
    shown.set_sort(SortBy.LABELLED)
    assert shown.keys() == ["c.jpg", "b.jpg", "a.jpg"]


def test_sorting_by_painted_and_by_accepted_share() -> None:
    session, shown = make(["a.jpg", "b.jpg", "c.jpg"])
    session.change("a.jpg", labelled_px=10, total_px=10, painted_px=9, accepted_px=1)
    session.change("b.jpg", labelled_px=10, total_px=10, painted_px=2, accepted_px=8)
    shown.set_sort(SortBy.PAINTED)
    assert shown.keys() == ["c.jpg", "b.jpg", "a.jpg"]
    shown.set_sort(SortBy.ACCEPTED)
    assert shown.keys() == ["c.jpg", "a.jpg", "b.jpg"]


def test_painting_never_moves_a_row() -> None:
    session, shown = make(["a.jpg", "b.jpg"])
    shown.set_sort(SortBy.LABELLED)
    session.change("a.jpg", labelled_px=9, total_px=10)
    assert shown.keys() == ["a.jpg", "b.jpg"]


def test_item_that_no_longer_matches_goes_and_comes_back() -> None:
    session, shown = make(["a.jpg", "b.jpg", "c.jpg"])
    shown.set_statuses(TODO)
    orders: list[list[str]] = []
    shown.order_changed.connect(lambda: orders.append(shown.keys()))
    session.change("b.jpg", status=Status.DONE)
    session.change("b.jpg", status=Status.NEW)
    assert orders == [["a.jpg", "c.jpg"], ["a.jpg", "b.jpg", "c.jpg"]]


def test_open_image_stays_until_another_is_open() -> None:
    session, shown = make(["a.jpg", "b.jpg", "c.jpg"])
    shown.set_statuses({Status.NEW})
    shown.keep("b.jpg")
    session.change("b.jpg", status=Status.IN_PROGRESS)
    assert shown.keys() == ["a.jpg", "b.jpg", "c.jpg"]
    shown.keep("c.jpg")
    assert shown.keys() == ["a.jpg", "c.jpg"]


def test_counts_follow_statuses() -> None:
    session, shown = make(["a.jpg", "b.jpg"])
    session.change("a.jpg", status=Status.DONE)
    assert (shown.source.count(Status.DONE), shown.source.count(Status.NEW)) == (1, 1)


def test_another_project_and_new_items() -> None:
    session, shown = make(["a.jpg"])
    session.project = FakeProject(["b.jpg", "c.jpg"])
    session.items_changed.emit()
    assert shown.keys() == ["b.jpg", "c.jpg"]
    session.open(None)
    assert shown.keys() == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["change", "statuses", "text", "sort", "keep"]), st.integers(0, 9), st.sampled_from(Status)
        ),
        max_size=20,
    )
)
def test_shown_items_are_always_those_that_match_or_are_kept(
    steps: list[tuple[str, int, Status]],
) -> None:
    keys = [f"img{n}.jpg" for n in range(10)]
    session, shown = make(keys)
    wanted, text, kept = set(Status), "", None
    for step, number, status in steps:
        match step:
            case "change":
                session.change(keys[number], status=status, labelled_px=number, total_px=10)
            case "statuses":
                wanted = {status, Status.NEW}
                shown.set_statuses(wanted)
            case "text":
                text = str(number)
                shown.set_text(text)
            case "sort":
                shown.set_sort(list(SortBy)[number % 3], number % 2 == 0)
            case "keep":
                kept = keys[number]
                shown.keep(kept)
        assert session.project is not None
        expected = {key for key in keys if key == kept or (text in key and session.project.state(key).status in wanted)}
        assert set(shown.keys()) == expected
        assert len(shown.keys()) == len(expected) == shown.rowCount()
        assert all(shown.row_of(key) == row for row, key in enumerate(shown.keys()))


def test_hundred_thousand_items_cost_one_look_each(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"folder{n % 100}/img{n}.jpg" for n in range(100_000)]
    random.Random(0).shuffle(keys)
    project, thumbnails = FakeProject(keys), Thumbnails()
    session = FakeSession(project)
    source = ItemListModel(session, thumbnails)
    assert project.num_state_calls == 100_000
    values = 0
    plain_value = ItemListModel.value

    def value(self: ItemListModel, row: int, role: int) -> Any:
        nonlocal values
        values += 1
        return plain_value(self, row, role)

    shown = ItemFilterModel(source)
    monkeypatch.setattr(ItemListModel, "value", value)
    shown.set_text("img1")
    shown.set_statuses(TODO)
    shown.set_sort(SortBy.LABELLED, is_descending=True)
    shown.set_text("")
    session.change("folder7/img7.jpg", status=Status.DONE)
    assert shown.rowCount() == 99_999
    # No data is asked for row by row, the project is asked only about the one that changed, no picture is read.
    assert values == 0
    assert project.num_state_calls == 100_001
    assert thumbnails.asked == []
