"""A transformer."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (211,)


def build(seed: int) -> Case:
    return Case(
        script="sequence_transformer",
        seed=seed,
        at_least=0.9,
    )
