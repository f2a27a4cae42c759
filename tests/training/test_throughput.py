"""How fast training goes; a step that takes far longer than its neighbours is named with what it waited for."""

from __future__ import annotations

import time

import pytest

from argusvl.core.batch import Batch, BatchSizes, SampleName
from argusvl.training.throughput import Stalls, Throughput


def test_throughput_counts_real_tokens_and_leaves_out_what_is_no_training() -> None:
    meter = Throughput(ranks=2)
    meter.start()
    samples = SampleName(0, 1, "one"), SampleName(0, 2, "two")
    batch = Batch({}, sizes=BatchSizes(images=3, tokens=40, real_tokens=30), samples=samples)
    meter.add([batch], {"data": 0.02, "forward": 0.5})
    meter.add([], {"data": 0.0, "forward": 0.3})
    time.sleep(0.1)
    with meter.excluded():
        time.sleep(0.3)
    figures = meter.drain()
    assert figures["throughput/padding_share"] == pytest.approx(0.25)
    assert 2 * 2 / 0.3 < figures["throughput/samples_per_second"] <= 2 * 2 / 0.1
    ratio = figures["throughput/tokens_per_second"] / figures["throughput/images_per_second"]
    assert ratio == pytest.approx(10.0)
    assert 0.02 / 0.3 < figures["throughput/data_wait_share"] <= 0.2
    assert figures["seconds/data"] == pytest.approx(0.01) and figures["seconds/forward"] == pytest.approx(0.4)
    assert meter.trained_samples == 4 and meter.trained_images == 6


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
