"""Class ids: given once, never twice, and none lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pspnet_core.classes import ClassDef, ClassSet
from pspnet_core.errors import ClassSetError


def test_after_the_largest_id_the_unused_ones_are_given() -> None:
    classes = ClassSet().add("rare", index=254).add("first").add("second")
    assert classes.indices == (254, 0, 1)
    assert ClassSet.from_json(json.loads(json.dumps(classes.to_json()))).add("third").indices[-1] == 2


def test_reserved_ids_are_left_out_until_their_class_comes() -> None:
    classes = ClassSet().reserve([0, 2]).add("a").add("b")
    assert classes.indices == (1, 3)
    again = ClassSet.from_json(classes.to_json())
    assert again == classes
    assert again.add("found", index=2).reserved == {0}
    assert classes != classes.reserve([9])


def test_a_file_of_before_reserved_ids_gives_none_below_the_next_one() -> None:
    rows = [{"index": 1, "name": "a", "color": [1, 2, 3]}]
    classes = ClassSet.from_json({"classes": rows, "next_index": 253})
    assert [classes.add("b").add("c").indices] == [(1, 253, 254)]
    with pytest.raises(ClassSetError, match="No class id is left"):
        classes.add("b").add("c").add("d")
    assert ClassSet.from_json({"classes": rows}).free_indices == (*range(2, 255), 0)


def test_an_id_of_a_removed_class_is_not_given_again() -> None:
    classes = ClassSet().add("a").add("b").add("c", index=254)
    without = ClassSet([c for c in classes if c.name != "b"], classes.next_index)
    assert 1 not in without.free_indices


@given(st.sets(st.integers(0, 254)), st.sets(st.integers(0, 254)))
def test_every_free_id_is_given_exactly_once(used: set[int], reserved: set[int]) -> None:
    classes = ClassSet([ClassDef(index, str(index), (0, 0, 0)) for index in used], reserved=reserved)
    free = classes.free_indices
    assert sorted(free) == sorted(set(range(255)) - used - reserved)
    for number, index in enumerate(free[:5]):
        classes = classes.add(f"new {number}")
        assert classes.indices[-1] == index
