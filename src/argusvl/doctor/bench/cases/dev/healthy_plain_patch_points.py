"""The script as it is."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (13, 29)


def build(seed: int) -> Case:
    return Case(script="patch_points", seed=seed, at_least=0.8)
