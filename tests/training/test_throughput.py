"""A step that takes far longer than its neighbours is named with what it waited for."""

from __future__ import annotations

import pytest

from argusvl.training.throughput import Stalls


def judged(parts: list[dict[str, float]]) -> list[tuple[int, str]]:
    stalls = Stalls()
    found = (stalls.judge(step, seconds) for step, seconds in enumerate(parts, 1))
    return [(one.step, one.part) for one in found if one is not None]


STEP = {"data": 0.1, "forward": 0.3, "backward": 0.6, "optimizer": 0.1}


@pytest.mark.parametrize("part", ["data", "backward"])
def test_a_step_that_waits_is_named(part: str) -> None:
    assert judged([*[STEP] * 30, STEP | {part: 30.0}, *[STEP] * 9]) == [(31, part)]


@pytest.mark.parametrize(
    "parts",
    [
        [STEP | {"data": 60.0}, *[STEP] * 30],
        [*[STEP] * 30, STEP | {"measuring": 60.0}],
        [*[STEP] * 30, STEP | {"backward": 5.0}],
        [*[{"forward": 0.01}] * 30, {"forward": 1.0}],
        [{name: spent * (1 + step % 6) for name, spent in STEP.items()} for step in range(60)],
    ],
    ids=["the first", "it measured", "a large batch", "short steps", "unequal batches"],
)
def test_what_is_usual_is_no_stall(parts: list[dict[str, float]]) -> None:
    assert judged(parts) == []
