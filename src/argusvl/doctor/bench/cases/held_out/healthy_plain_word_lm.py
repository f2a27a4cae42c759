"""A recurrent language model."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="word_lm",
        seed=seed,
        at_least=0.7,
    )
