"""The paired bootstrap: equal runs do not differ, a planted gain is seen, intervals cover what they say."""

from __future__ import annotations

import numpy as np

from argusvl.core.bootstrap import difference, draw_weights, interval


def test_draws_have_as_many_pictures_and_are_the_same_for_the_same_seed() -> None:
    weights = draw_weights(17, 50, seed=3)
    assert weights.shape == (51, 17) and (weights.sum(axis=1) == 17).all() and (weights[0] == 1).all()
    assert (weights == draw_weights(17, 50, seed=3)).all() and (weights != draw_weights(17, 50, seed=4)).any()


def test_equal_runs_do_not_differ_and_a_planted_gain_is_seen_in_its_direction() -> None:
    for seed in range(20):
        values = np.random.default_rng(seed).random(60)
        weights = draw_weights(60)
        means = weights @ values / 60
        same = difference(means, means)
        assert same.by_chance and same.difference.value == same.difference.low == same.difference.high == 0
        better = weights @ (values + 0.1) / 60
        gain, loss = difference(means, better), difference(better, means)
        assert not gain.by_chance and gain.difference.low > 0
        assert not loss.by_chance and loss.difference.high < 0


def test_of_a_hundred_intervals_about_ninety_five_hold_the_truth() -> None:
    random = np.random.default_rng(0)
    weights = draw_weights(80, 400)
    covered = false_alarms = 0
    for _ in range(400):
        first, second = random.binomial(1, 0.6, 80), random.binomial(1, 0.6, 80)
        found = difference(weights @ first / 80, weights @ second / 80)
        false_alarms += not found.by_chance
        covered += found.first.low <= 0.6 <= found.first.high
    assert 0.91 <= covered / 400 <= 0.98
    assert 0.02 <= false_alarms / 400 <= 0.09


def test_draws_without_the_figure_are_left_out() -> None:
    found = interval(np.array([0.5, np.nan, 0.25, 0.25]))
    assert (found.value, found.low, found.high) == (0.5, 0.25, 0.25)
    assert np.isnan(interval(np.array([np.nan, np.nan])).low)
