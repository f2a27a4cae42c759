"""Keypoints with a flip."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (31, 32)


def build(seed: int) -> Case:
    return Case(
        script="keypoints",
        seed=seed,
        at_least=0.9,
    )
