"""The forecast against runs whose every second is known."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from argusvl.training.time_left import TimeLeft


@dataclass
class Run:
    """A run as it will have been: seconds of each step, of its evaluations and of its checkpoints."""

    steps: list[float]
    evaluate_every: int | None = None
    evaluation: Callable[[int], float] = lambda step: 0.0
    save_every: int = 10**6
    saving: float = 0.0
    evaluation_in_steps: float = 0.0
    begins_at: int = 0

    def forecasts(self) -> list[tuple[int, float, float]]:
        """After each step, before what comes after it: the step, what is said to be left, and what is."""
        last = len(self.steps)
        left = TimeLeft(
            self.begins_at,
            last,
            evaluate_every=self.evaluate_every,
            save_every=self.save_every,
            evaluation_in_steps=self.evaluation_in_steps,
        )
        assert left.seconds() is None
        said, taken = [], []
        for step in range(self.begins_at + 1, last + 1):
            seconds = self.steps[step - 1]
            left.step_ended(step, seconds)
            forecast = left.seconds()
            assert forecast is not None
            said.append((step, forecast))
            after = 0.0
            evaluates = self.evaluate_every is not None and (step % self.evaluate_every == 0 or step == last)
            if evaluates:
                after += self.evaluation(step)
                left.ended("evaluating", self.evaluation(step))
            if evaluates or step % self.save_every == 0 or step == last:
                after += self.saving
                left.ended("saving", self.saving)
            taken.append((seconds, after))
        assert left.seconds() == pytest.approx(0.0)
        truth, rest = [], 0.0
        for seconds, after in reversed(taken):
            truth.append(rest + after)
            rest += seconds + after
        return [(step, forecast, true) for (step, forecast), true in zip(said, reversed(truth), strict=True)]


def noisy(count: int, mean: float, spread: float, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [mean * rng.lognormvariate(-spread * spread / 2, spread) for _ in range(count)]


RUNS = {
    "even": Run([2.0] * 300),
    "slow at first": Run([40.0, 15.0, 6.0, *[2.0] * 297]),
    "noise": Run([30.0, *noisy(299, 2.0, 0.3, seed=1)]),
    "every tenth step waits for its data": Run([3.0 if step % 10 else 12.0 for step in range(1, 401)]),
    "often evaluated, otherwise than guessed": Run(
        noisy(300, 2.0, 0.2, seed=2), 10, lambda step: 25.0, 50, 3.0, evaluation_in_steps=2.0
    ),
    "seldom evaluated": Run(
        [20.0, *noisy(299, 2.0, 0.2, seed=3)], 100, lambda step: 60.0, 100, 3.0, evaluation_in_steps=80.0
    ),
    "evaluated at its end only": Run([2.0] * 60, 1000, lambda step: 30.0, evaluation_in_steps=40.0),
    "evaluations grow": Run(
        noisy(400, 1.0, 0.2, seed=4), 20, lambda step: 10.0 + step / 100, evaluation_in_steps=30.0
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_from_the_twentieth_step_on_the_forecast_is_right_to_a_fifth(name: str) -> None:
    forecasts = RUNS[name].forecasts()
    longest = max(RUNS[name].steps[20:])  # what is left of a few steps is as uncertain as each of them
    wrong = [
        (step, round(said), round(true))
        for step, said, true in forecasts
        if step >= 20 and abs(said - true) > max(0.2 * true, longest)
    ]
    assert not wrong


def test_a_machine_that_becomes_busy_is_noticed() -> None:
    forecasts = Run([1.0] * 500 + [4.0] * 500).forecasts()
    _, said, true = forecasts[600]
    assert said == pytest.approx(true, rel=0.01)


def test_a_run_that_goes_on_counts_what_is_left_of_it() -> None:
    run = Run([1.0] * 100, 30, lambda step: 10.0, 40, 2.0, begins_at=70)
    # 29 steps; evaluations after 90 and 100; checkpoints after 80 and with both.
    assert run.forecasts()[0] == (71, pytest.approx(29.0), pytest.approx(29.0 + 2 * 10.0 + 3 * 2.0))
    for step, said, true in run.forecasts()[20:]:
        assert said == pytest.approx(true), step


def test_a_part_of_a_checkpoint_and_of_an_evaluation_may_be_left() -> None:
    left = TimeLeft(0, 4, evaluate_every=2, save_every=4, evaluation_in_steps=0.0)
    left.ended("evaluating", 10.0)
    left.ended("saving", 1.0)
    left.step_ended(1, 2.0)
    assert left.seconds() == pytest.approx(3 * 2.0 + 2 * 10.0 + 2 * 1.0)
    left.step_ended(2, 2.0)
    assert left.seconds() == pytest.approx(2 * 2.0 + 2 * 10.0 + 2 * 1.0), "both are still to come"
    left.ended("evaluating", 10.0)
    assert left.seconds() == pytest.approx(2 * 2.0 + 1 * 10.0 + 2 * 1.0)
    left.ended("saving", 1.0)
    assert left.seconds() == pytest.approx(2 * 2.0 + 1 * 10.0 + 1 * 1.0)


def test_a_roll_back_leaves_more_to_do() -> None:
    left = TimeLeft(0, 10, evaluate_every=5, save_every=5, evaluation_in_steps=0.0)
    for step in (*range(1, 7), *range(4, 8)):  # after step 6, from step 3 on
        left.step_ended(step, 1.0)
    left.ended("evaluating", 10.0)
    left.ended("saving", 2.0)
    assert left.seconds() == pytest.approx(3 * 1.0 + 10.0 + 2.0)
