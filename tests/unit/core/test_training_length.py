"""How long a full training takes."""

import math

import pytest

from pspnet_core.training.length import MAX_STEPS, MIN_STEPS, Plateau, cool_down_steps, recommended_steps

FULL_PX = 500_000


def test_more_labels_never_mean_fewer_steps():
    by_images = [recommended_steps(n, n * FULL_PX) for n in (1, 2, 4, 12, 48, 200, 500, 100_000)]
    assert by_images == sorted(by_images)
    by_pixels = [recommended_steps(8, px) for px in (0, 100, 5_000, 100_000, 8 * FULL_PX)]
    assert by_pixels == sorted(by_pixels)
    assert by_pixels[0] < by_pixels[-1]


def test_steps_stay_within_reason():
    assert recommended_steps(1, 0) == MIN_STEPS
    assert recommended_steps(10**6, 10**12) == MAX_STEPS
    assert 300 <= recommended_steps(1, FULL_PX) <= 600
    # as often as it is seen, each image of many is seen less, and all together more
    assert recommended_steps(1, FULL_PX) < recommended_steps(48, 48 * FULL_PX) < 48 * recommended_steps(1, FULL_PX)


@pytest.mark.parametrize(("images", "px"), [(0, 0), (-1, 5), (1, -1)])
def test_impossible_amounts_are_refused(images, px):
    with pytest.raises(ValueError, match="images and pixels"):
        recommended_steps(images, px)


def run(curve, period=50, last=5000, **options):
    """The step at which the cool-down begins, for a score by step."""
    plateau = Plateau(**options)
    return next((step for step in range(period, last, period) if plateau.add(step, curve(step))), None)


def test_a_rising_score_goes_on_and_a_flat_one_stops():
    assert run(lambda step: step / 10_000) is None
    assert run(lambda step: 0.5) == MIN_STEPS
    assert run(lambda step: 0.7 - 0.5 * math.exp(-step / 300)) in range(1000, 2500)
    falls = run(lambda step: 0.6 - abs(step - 600) / 2000)
    assert falls in range(650, 1100)


def test_one_lucky_or_unlucky_score_does_not_decide():
    def curve(step):
        return step / 5000 + (0.02 if step in (250, 800) else -0.02 if step % 150 == 0 else 0.0)

    assert run(curve) is None


def test_scores_that_are_no_numbers_say_nothing():
    assert run(lambda step: math.nan) is None
    plateau = Plateau()
    plateau.add(50, math.nan)
    assert plateau.scores == ()


def test_an_interrupted_run_decides_as_one_in_one_piece():
    curve = [(step, 0.7 - 0.5 * math.exp(-step / 300)) for step in range(50, 3000, 50)]
    whole, first, second = Plateau(), Plateau(), Plateau()
    answers = [whole.add(*pair) for pair in curve]
    parts = [first.add(*pair) for pair in curve[:20]]
    for pair in first.scores:
        second.add(*pair)
    assert parts + [second.add(*pair) for pair in curve[20:]] == answers
    assert any(answers)


def test_misuse_is_refused():
    plateau = Plateau()
    plateau.add(10, 0.1)
    with pytest.raises(ValueError, match="rise"):
        plateau.add(10, 0.2)
    for patience in (0, 1):
        with pytest.raises(ValueError, match="patience"):
            Plateau(patience=patience)


def test_the_cool_down_is_a_share_of_the_steps():
    assert cool_down_steps(1000) == 300
    assert cool_down_steps(1) == 20
