"""What a version learned from, through what it started from, too."""

from argparse import Namespace
from pathlib import Path

import pytest

from pspnet_core.training.exposure import Exposure, learned_also, projects_of


def blocks(**held):
    return {key: frozenset(numbers) for key, numbers in held.items()}


def test_what_a_version_started_from_has_learned_counts_too():
    earlier = Exposure(frozenset("abc"), frozenset("d"), blocks(a=[1, 2], b=[3]))
    later = Exposure(frozenset("abe"), frozenset("cf"), blocks(a=[2, 4], e=[5]))
    both = later.after(earlier)
    assert both.trained == frozenset("abce")
    assert both.held_items == {"f"}  # c was learned from before
    assert {key: both.unlearned(key) for key in "abcdef"} == {
        "a": {2},  # held out both times
        "b": frozenset(),  # its block 3 was learned from now
        "c": frozenset(),
        "d": None,
        "e": {5},  # the earlier one knew nothing of it
        "f": None,
    }
    assert later.after(Exposure()) == later


def test_blocks_that_only_the_earlier_version_held_out_of_an_item_that_was_not_used_now_stay_unlearned():
    both = Exposure(frozenset("a")).after(Exposure(frozenset("b"), frozenset(), blocks(b=[7])))
    assert both.unlearned("b") == {7}


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({"projects": ["p", "q"]}, {"p", "q"}),
        ({"projects": []}, set()),
        ({"projects": None, "project": "p"}, None),
        ({"project": "p"}, {"p"}),
        ({"project": "p", "init": {"version": None}}, {"p"}),
        ({"project": "p", "init": {"version": 3}}, None),  # of before: version 3 may be of another project
        ({"import": {"publisher": "mmseg"}}, set()),
        ({"import": {"publisher": "studio", "before": {"publisher": "mmseg"}}}, set()),
        ({"import": {"publisher": "studio"}}, None),
        ({"import": {"publisher": "studio"}, "init": "imagenet", "data": "camvid"}, None),
        ({"init": "imagenet"}, None),
        ({}, None),
        ({"import": 5}, None),
        ({"projects": 5}, None),
    ],
)
def test_which_projects_a_checkpoint_learned_from(origin, expected):
    assert projects_of(origin) == expected


def test_what_is_trained_now_remembers_all_projects_or_says_that_it_does_not_know():
    assert learned_also(None, "p") == ["p"]
    assert learned_also({"projects": ["q"]}, "p") == ["p", "q"]
    assert learned_also({"projects": None}, "p") is None
    assert learned_also(None, None) is None


def test_the_command_line_writes_the_project():
    pytest.importorskip("torch")
    from pspnet_core.cli_train import _origin

    options = Namespace(init="imagenet", weights=Path("w.pth"))
    assert _origin(options, "imagenet", "p") == {
        "init": "imagenet",
        "weights": "w.pth",
        "project": "p",
        "projects": ["p"],
    }
    assert _origin(options, "imagenet", None)["projects"] is None
    assert "project" not in _origin(options, "imagenet", None)
