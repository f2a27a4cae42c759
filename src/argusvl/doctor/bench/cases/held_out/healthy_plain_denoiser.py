"""A denoiser."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="denoiser",
        seed=seed,
        at_least=0.8,
    )
