"""The slope of memory: its bounds hold as often as they say, a leak is seen and a flat run is not called one."""

from __future__ import annotations

import gc
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from argusvl.core.memory_slope import (
    LIMIT_BYTES_PER_IMAGE,
    MemoryRecorder,
    fit_slope,
    resident_bytes,
    settled_resident_bytes,
)


def correlated_noise(rng: np.random.Generator, runs: int, samples: int, memory: float) -> np.ndarray:
    """Noise of variance 1 in which each sample keeps a part of the one before: [runs, samples]."""
    noise = rng.standard_normal((runs, samples))
    for index in range(1, samples):
        noise[:, index] = memory * noise[:, index - 1] + math.sqrt(1 - memory**2) * noise[:, index]
    return noise


@pytest.mark.parametrize("growth", [0, 3])
def test_a_straight_line_is_found_exactly(growth: int) -> None:
    slope = fit_slope([10, 20, 30, 40], [1e9 + growth * step for step in (10, 20, 30, 40)])
    assert slope.per_step == pytest.approx(growth) and slope.low == slope.high == slope.per_step
    assert slope.verdict(limit=1) == ("grows" if growth else "flat")


def test_estimate_equals_an_independent_fit() -> None:
    rng = np.random.default_rng(0)
    steps, values = np.sort(rng.uniform(0, 100, 50)), rng.normal(size=50)
    assert fit_slope(steps, values).per_step == pytest.approx(np.polyfit(steps, values, 1)[0])


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8])
def test_bounds_hold_as_often_as_they_say(memory: float) -> None:
    rng = np.random.default_rng(1)
    truth, steps = 0.01, np.arange(100.0)
    slopes = [fit_slope(steps, truth * steps + noise) for noise in correlated_noise(rng, 600, 100, memory)]
    below = np.mean([slope.high < truth for slope in slopes])
    above = np.mean([slope.low > truth for slope in slopes])
    # 5 % each; where samples depend much on each other, the estimated autocorrelation is somewhat too small.
    assert below < 0.08 and above < 0.08
    if memory == 0:
        assert below > 0.02 and above > 0.02  # and not by being endlessly wide


def test_a_random_walk_is_not_called_a_leak() -> None:
    rng = np.random.default_rng(2)
    walks = np.cumsum(rng.standard_normal((100, 100)), axis=1) * 4096
    verdicts = [fit_slope(range(0, 1000, 10), walk).verdict() for walk in walks]
    assert verdicts.count("grows") == 0


def test_a_leak_under_noise_is_seen() -> None:
    rng = np.random.default_rng(3)
    images = np.arange(0, 1000, 10)
    leaking = 5e8 + 2 * LIMIT_BYTES_PER_IMAGE * images + rng.normal(0, 1e5, 100)
    healthy = 5e8 + rng.normal(0, 1e5, 100)
    assert fit_slope(images, leaking).verdict() == "grows"
    assert fit_slope(images, healthy).verdict() == "flat"


def test_too_little_evidence_is_undecided_and_json_knows_no_infinity() -> None:
    slope = fit_slope([0, 1, 2, 3], [0, 0, 5e6, 5e6])
    assert slope.verdict() == "undecided"
    assert slope.as_dict()["high"] is None or math.isfinite(slope.as_dict()["high"])


@pytest.mark.parametrize(
    ("steps", "values"),
    [([0, 1], [0, 1]), ([0, 1, 2], [0, 1]), ([0, 2, 1], [0, 0, 0]), ([0, 1, 2], [0, math.nan, 0])],
)
def test_what_no_line_can_be_fitted_to_is_refused(steps: list[float], values: list[float]) -> None:
    with pytest.raises(ValueError):
        fit_slope(steps, values)


def test_resident_memory_follows_what_is_allocated_and_given_back() -> None:
    before = settled_resident_bytes()
    held = torch.ones(16 * 2**20 // 4)
    during = settled_resident_bytes()
    assert during - before > 15 * 2**20
    del held
    assert during - settled_resident_bytes() > 15 * 2**20
    assert resident_bytes() > 2**20


LOOPS = """
from concurrent.futures import ThreadPoolExecutor
import torch
from argusvl.core.allocator import keep_freed_memory
from argusvl.core.memory_slope import MemoryRecorder

def run(leak):
    kept = []
    with MemoryRecorder() as recorder:
        for images in range(400):
            vectors = [torch.rand(360, 360)]
            vectors.append(vectors)  # garbage that only a collection finds
            if images % 10 == 0:
                kept += [vectors] * leak
                recorder.sample(images)
    return recorder.slopes(skip=50)["resident"].verdict()

"""
ITSELF = """
print(run(leak=False), run(leak=True))
"""
# 32 MiB stay with the end of the thread's heap, and are handed out again before the process grows.
WITH_A_RESERVE = """
keep_freed_memory()
with ThreadPoolExecutor(1) as thread:
    for count in (1, 80):
        thread.submit(lambda: len([torch.ones(8, 16384) for _ in range(count)])).result()
    print(thread.submit(run, leak=False).result(), thread.submit(run, leak=True).result())
"""


@pytest.mark.parametrize("where", [ITSELF, WITH_A_RESERVE])
def test_recorder_tells_a_leaking_loop_from_a_flat_one(where: str) -> None:
    # In a process of its own: what other tests' threads take and give back is no part of these loops.
    told = subprocess.run(
        [sys.executable, "-c", LOOPS + where], capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == ["flat", "grows"]


def test_recorder_leaves_the_collector_as_it_was() -> None:
    gc.unfreeze()  # those that the suite has set aside, until the end
    gc.collect()
    before = gc.get_freeze_count()  # not 0 from Python 3.12 on, where some objects live forever
    with MemoryRecorder(), MemoryRecorder():
        assert gc.get_freeze_count() > before + 1000
    gc.collect()
    assert gc.get_freeze_count() == pytest.approx(before, abs=100)
    gc.freeze()
