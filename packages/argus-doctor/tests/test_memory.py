"""Memory that climbs: told by what climbs, and not told where it flattens."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from torch import nn

from argus_doctor import Watch
from argus_doctor.checks.memory import memory_climbs
from argus_doctor.evidence import Evidence, MemorySample, Step
from argus_doctor.record import memory

LOOKS = (*range(1, 20), *range(20, 100, 10), *range(100, 4001, 50))


def evidence(until: int, curve: dict[str, object]) -> Evidence:
    """Memory by the curves given, functions of the step, at the looks up to a step."""
    found = Evidence()
    found.steps.append(Step(until))
    last_count = 0.0
    for step in (one for one in LOOKS if one <= until):
        values = {name: float(f(step)) for name, f in curve.items()}  # type: ignore[operator]
        if values["resident"] < max(last_count + 64, 1.05 * last_count):
            values.pop("tensors", None)
        else:
            last_count = values["resident"]
        found.memory.append(MemorySample(step, **values))
    return found


def slugs(until: int, **curve: object) -> list[str]:
    return [one.slug for one in memory_climbs(evidence(until, curve))]


@pytest.mark.parametrize("until", [220, 300, 400, 1000, 4000])
def test_a_cache_that_fills_is_no_finding(until: int) -> None:
    # Seen in a training in bfloat16 with AMX: compiled kernels of shapes that never come again.
    steps, gib = [0, 6, 49, 171, 287, 373, 420, 5000], [2.0, 2.26, 2.88, 3.43, 3.70, 3.97, 4.1, 4.1]
    noise = np.random.default_rng(0).normal(0, 4, 5000)
    curve = {
        "resident": lambda step: 1024 * np.interp(step, steps, gib) + noise[step],
        "tensors": lambda step: 900 + noise[step],
    }
    assert slugs(until, **curve) == []


@pytest.mark.parametrize("until", [220, 1000, 4000])
def test_tensors_that_are_kept_are_named(until: int) -> None:
    curve = {"resident": lambda step: 1500 + 3 * step, "tensors": lambda step: 400 + 3 * step}
    assert slugs(until, **curve) == ["memory-climbs"]


def test_what_grew_once_and_stays_is_no_finding() -> None:
    # More tensors after a first evaluation, and none after that.
    curve = {
        "resident": lambda step: 1500 + 3 * min(step, 300),
        "tensors": lambda step: 400 + 3 * min(step, 300),
    }
    assert slugs(1000, **curve) == slugs(4000, **curve) == []


def test_growth_beside_the_tensors_is_told_apart_and_late() -> None:
    curve = {"resident": lambda step: 1500 + step, "tensors": lambda step: 400}
    assert slugs(800, **curve) == []
    assert slugs(2000, **curve) == ["memory-beside-tensors-climbs"]


def test_a_gpu_with_fragments_is_told_from_one_with_a_leak() -> None:
    flat = {"resident": lambda step: 3000.0}
    leak = {"allocated": lambda step: 5000 + 8 * step, "reserved": lambda step: 6000 + 8 * step}
    fragments = {"allocated": lambda step: 5000 + step % 7, "reserved": lambda step: 6000 + 8 * step}
    healthy = {"allocated": lambda step: 5000 + step % 7, "reserved": lambda step: 6000 + min(8 * step, 900)}
    assert slugs(1000, **flat, **leak) == ["memory-climbs"]
    assert slugs(1000, **flat, **fragments) == ["gpu-memory-fragments"]
    assert slugs(1000, **flat, **healthy) == []


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("freed_before", [0, 1024])
def test_a_loop_that_keeps_its_outputs_is_seen(
    keeps: bool, freed_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("_PATIENCE", "_PATIENCE_AT_A_RISE"):  # a second of this loop stands for hours
        monkeypatch.setattr(memory, patience, 0.1)
    # Where the process has freed much before, the heap takes what is kept without growing.
    blocks = [torch.ones(25_000) for _ in range(freed_before * 10)]
    last = torch.ones(1)  # above the blocks: the heap does not shrink
    del blocks
    gc.collect()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    watch = Watch(model, optimizer, source=False)
    kept = []
    for _ in range(220):
        x = torch.randn(64, 8)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long())
        loss.backward()
        optimizer.step()
        features = torch.ones(400_000)  # 1.5 MiB
        if keeps:
            kept.append(features)
        watch.step(loss=loss)
    found = watch.report()
    assert ("memory-climbs" in {one.slug for one in found}) == keeps
    assert all(one.severity == "hint" for one in found)  # a replay buffer that fills climbs as well
    assert last.item() == 1
