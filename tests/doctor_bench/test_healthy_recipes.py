"""Recipes as papers and public repositories write them: nothing is found in them for certain."""

from __future__ import annotations

import pytest

from doctor_bench.case import cases_of
from doctor_bench.run import run_cases

SOME = (
    "adafactor", "bpr-recommender", "byol", "camera-matrices", "compiled", "dcgan", "ddp-unequal",
    "divides-by-255", "dpo", "dqn", "expert-parallel", "focal-loss", "fp16-scaler", "frozen-batchnorm",
    "fsdp2", "gcn", "generate-in-loop", "lbfgs-pinn", "mc-dropout", "moe-dead-expert", "normalising-flow",
    "quantile-forecast", "random-features", "swa", "thousand-classes", "token-autoencoder",
    "training-accuracy", "vqvae", "warm-restarts",
)  # fmt: skip
"""The rest are run by ``argus doctor bench --suite healthy``."""


def test_there_are_at_least_forty() -> None:
    names = {case.name for case in cases_of("healthy")}
    assert len(names) >= 40 and set(SOME) <= names


@pytest.mark.timeout(300)
def test_nothing_is_certain_in_health_and_hints_are_rare() -> None:
    outcomes = run_cases(cases_of("healthy", SOME), "argus", alone=False, workers=1)
    for one in outcomes:
        assert one.watched.error is None and one.watched.detector_error is None, one.case.name
        assert one.watched.figures["quality"] >= one.case.at_least, one.case.name
    found = {one.case.name: one.watched.findings for one in outcomes if one.watched.findings}
    certain = {name for name, these in found.items() if any(f.severity != "hint" for f in these)}
    assert certain == set() and len(found) <= len(SOME) // 10
