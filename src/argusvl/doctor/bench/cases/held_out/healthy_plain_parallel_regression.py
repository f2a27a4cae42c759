"""Two processes."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (211,)


def build(seed: int) -> Case:
    return Case(
        script="parallel_regression",
        seed=seed,
        at_least=0.85,
    )
