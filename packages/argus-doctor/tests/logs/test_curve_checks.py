"""What curves show: faults are found, and healthy runs of many kinds have no finding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from argus_doctor.logs.curve_checks import check_curves
from argus_doctor.logs.curves import MOST_POINTS, Curve, Curves


def slugs(**series: Any) -> set[str]:
    curves = Curves()
    for step in range(max(len(values) for values in series.values())):
        curves.add({name: float(v[step]) for name, v in series.items() if step < len(v)}, step * 10)
    return {one.slug for one in check_curves(curves)}


def time(count: int) -> Any:
    return np.arange(count) / (count - 1)


N = 300
T = time(N)
FALL = 2.5 * np.exp(-T * 3) + 0.5
NOISE = np.random.default_rng(0).standard_normal(N)
FAULTS = {
    "nan": ("instability", {"loss": np.where(T > 0.6, np.nan, FALL)}),
    "rises for good": ("instability", {"loss": np.where(T > 0.5, 2.9, FALL) + 0.1 * NOISE}),
    "explodes": ("instability", {"loss": np.where(T > 0.6, FALL + 40 * (T - 0.6), FALL) + 0.1 * NOISE}),
    "jumps": ("instability", {"loss": FALL + 0.05 * NOISE + 10 * np.isin(np.arange(N), [90, 140, 200, 250])}),
    "flat": ("curve-flat", {"loss": 2.3026 + 0.003 * NOISE}),
    "overfits": (
        "poor-generalisation",
        {
            "loss": 2 * np.exp(-5 * T) + 0.02 * NOISE,
            "val_loss": [max(1 - 0.5 * x, 0.5 + 1.2 * x) for x in time(30)],
        },
    ),
    "rate zero": ("curve-rate-zero", {"loss": FALL, "learning_rate": np.where(T < 0.4, 1e-3, 0)}),
    "gradients explode": (
        "instability",
        {"loss": 2.3 + 0.1 * NOISE, "grad_norm": np.exp(0.2 * NOISE + np.maximum(0, T - 0.6) * 20)},
    ),
    "gradients vanish": (
        "curve-gradients-vanish",
        {"loss": 2.3 + 0.1 * NOISE, "grad_norm": np.exp(0.2 * NOISE - 14 * T)},
    ),
    "slower": ("curve-slows", {"loss": FALL, "train_samples_per_second": 100 / (1 + 3 * T) + NOISE}),
    "memory": ("memory-climbs", {"loss": FALL, "gpu_memory_mb": 4000 + 9000 * T + 50 * NOISE}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    slug, series = FAULTS[name]
    assert slugs(**series) == {slug}


def healthy(count: int, seed: int) -> dict[str, dict[str, Any]]:
    draw = np.random.default_rng(seed)
    t, z = time(count), draw.standard_normal(count)
    base = 2.5 * np.exp(-t * draw.uniform(1, 8)) + draw.uniform(0.01, 1)
    rate = 0.001 * (1 + np.cos((t * 4 % 1) * np.pi)) / 2
    return {
        "noisy": {"loss": base * (1 + 0.3 * z)},
        "batches of one": {"loss": base * draw.gamma(1.0, 1.0, count)},
        "warm restarts": {
            "loss": base + 0.4 * np.maximum(0, np.cos(t * 6 * np.pi)) * (1 - t),
            "learning_rate": rate,
        },
        "players": {"loss_G": 1 + t * 3 + 0.5 * z, "loss_D": 0.7 - 0.3 * t + 0.1 * z},
        "fine-tuning": {
            "loss": 1.2 - 0.05 * t + 0.15 * z,
            "grad_norm": np.exp(0.5 * z),
            "learning_rate": 1e-4 * (1 - t),
        },
        "interpolates": {"loss": 3 * np.exp(-6 * t) + 1e-4, "grad_norm": 3 * np.exp(-9 * t)},
        "held out": {"loss": base, "val_loss": base * 1.1 + 0.05 * z + 0.1 * t},
        "a plateau": {"loss": np.where(t < 0.5, 2.3, 0.7) + 0.05 * z},
        "reinforcement": {"loss": 2 * z, "policy_loss": -z, "value_loss": np.exp(z)},
        "low from the start": {"loss": 0.02 + 0.004 * z},
        "one skipped step": {
            "loss": np.where(np.arange(count) == count // 2, np.nan, base),
            "grad_norm": np.exp(z * 0.3),
        },
        "memory settles": {"loss": base, "gpu_memory": 10 + 3 * (t > 0.1) + 0.2 * z},
    }


@pytest.mark.parametrize("count", [2, 5, 12, 40, 400, 1500])
def test_a_healthy_run_has_no_finding(count: int) -> None:
    found = {
        (name, seed): slugs(**series)
        for seed in range(3)
        for name, series in healthy(count, seed).items()
        if not (count == 2 and name == "one skipped step")
    }
    assert not {key: value for key, value in found.items() if value}


def test_a_long_curve_is_thinned_and_forgets_nothing_that_is_no_number() -> None:
    curve = Curve("loss")
    for step in range(5 * MOST_POINTS):
        curve.add(step, float("nan") if step == 7 else 1.0, f"log:{step}")
    assert len(curve.values) < MOST_POINTS and curve.count == 5 * MOST_POINTS
    assert curve.first_bad == (7, "log:7") and curve.bad_tail == 0 and curve.not_finite == 1
