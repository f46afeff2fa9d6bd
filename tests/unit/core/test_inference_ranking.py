"""The order in which images are best corrected."""

from __future__ import annotations

import numpy as np
import pytest

from pspnet_core.inference.ranking import ImageSummary, Reason, rank

D = 6


def summary(*things: tuple[int, int], doubt: float | None = None, class_id: int = 0, seed: int = 0) -> ImageSummary:
    """An image with ``count`` cells of each ``thing``: a feature vector near one of the axes."""
    rng = np.random.default_rng(seed)
    rows = [np.eye(D)[thing] * 10 + rng.normal(0, 0.1, D) for thing, count in things for _ in range(count)]
    cells = np.array(rows, np.float16)
    if doubt is None:
        return ImageSummary(cells)
    return ImageSummary(cells, np.full(len(cells), doubt, np.float32), np.full(len(cells), class_id, np.uint8))


def keys(ranked):
    return [entry.key for entry in ranked]


def test_what_is_not_corrected_yet_comes_first():
    images = {f"sky{i}": summary((0, 40), seed=i) for i in range(4)} | {"sea": summary((1, 40))}
    assert keys(rank(images, ["sky0"]))[0] == "sea"
    assert keys(rank(images, ["sea"]))[0].startswith("sky")


def test_the_second_of_a_kind_counts_less_than_the_first_of_another():
    images = {f"sky{i}": summary((0, 40), seed=i) for i in range(6)}
    images |= {f"sea{i}": summary((1, 40), seed=i) for i in range(3)}
    first, second = keys(rank(images, []))[:2]
    assert {first[:3], second[:3]} == {"sky", "sea"}


def test_without_anything_corrected_what_shows_most_of_the_collection_comes_first():
    images = {f"sky{i}": summary((0, 40), seed=i) for i in range(5)}
    images |= {f"sea{i}": summary((1, 40), seed=i) for i in range(5)}
    images["both"] = summary((0, 20), (1, 20))
    assert keys(rank(images, []))[0] == "both"


def test_corrected_images_are_not_in_the_queue_and_gains_fall():
    images = {str(i): summary((i % D, 30), ((i + 1) % D, 10), seed=i) for i in range(12)}
    ranked = rank(images, ["3", "4", "unknown"])
    assert set(keys(ranked)) == set(images) - {"3", "4"}
    gains = [entry.gain for entry in ranked]
    assert gains[0] == 1.0
    assert gains == sorted(gains, reverse=True)
    assert min(gains) >= 0.0


def test_doubt_draws_the_queue_to_what_the_model_does_not_know():
    def images(of_sea, of_wood):
        return {"sea": summary((1, 40), doubt=of_sea), "wood": summary((2, 40), doubt=of_wood)}

    assert keys(rank(images(0.9, 0.1), []))[0] == "sea"
    assert keys(rank(images(0.1, 0.9), []))[0] == "wood"


def test_what_doubt_is_known_counts_while_the_rest_is_still_on_its_way():
    images = {"sea": summary((1, 40), doubt=0.9), "wood": summary((2, 40), doubt=0.1), "sky": summary((0, 40))}
    assert keys(rank(images, [])) == ["sea", "sky", "wood"]
    ranked = rank(images | {"done": summary((3, 40))}, ["done"])  # one that is corrected needs none
    assert keys(ranked) == ["sea", "sky", "wood"]


def test_the_order_does_not_depend_on_the_order_of_the_arguments_and_repeats():
    images = {str(i): summary((i % D, 20), ((2 * i + 1) % D, 20), seed=i) for i in range(20)}
    backwards = dict(reversed(images.items()))
    assert rank(images, ["1"]) == rank(backwards, ["1"]) == rank(images, {"1"})


def test_more_images_than_are_put_in_exact_order_are_all_there():
    images = {f"{i:03}": summary((i % D, 5), seed=i) for i in range(130)}
    ranked = rank(images, ["000"])
    assert len(ranked) == 129
    assert len({entry.key for entry in ranked}) == 129
    gains = [entry.gain for entry in ranked]
    assert gains == sorted(gains, reverse=True)


@pytest.mark.parametrize(
    ("image", "reason", "class_id"),
    [
        (summary((3, 40), doubt=0.2), Reason.UNLIKE, None),
        (summary((0, 40), doubt=0.9), Reason.UNSURE, None),
        (summary((0, 40), doubt=0.2, class_id=7), Reason.RARE, 7),
        (summary((0, 40), doubt=0.2), Reason.TYPICAL, None),
    ],
)
def test_why_this_one(image, reason, class_id):
    images = {f"sky{i}": summary((0, 40), doubt=0.2, seed=i) for i in range(8)} | {"this": image}
    ranked = rank(images, ["sky0"], {0: 10_000, 1: 9_000, 7: 100})
    entry = next(entry for entry in ranked if entry.key == "this")
    assert (entry.reason, entry.class_id) == (reason, class_id)


def test_with_nothing_corrected_nothing_is_unlike_it():
    images = {str(i): summary((i % D, 40), seed=i) for i in range(6)}
    assert {entry.reason for entry in rank(images, [])} == {Reason.TYPICAL}


def test_nothing_to_rank():
    assert rank({}, []) == []
    assert rank({"a": summary((0, 3))}, ["a"]) == []
    assert keys(rank({"a": summary((0, 1))}, [])) == ["a"]


def test_equal_images_keep_their_order():
    images = {name: summary((0, 10), seed=1) for name in "cab"}
    assert keys(rank(images, [])) == ["a", "b", "c"]


def test_features_of_several_kinds_are_refused():
    with pytest.raises(ValueError, match="kinds"):
        rank({"a": summary((0, 3)), "b": ImageSummary(np.ones((3, D + 1), np.float16))}, [])
