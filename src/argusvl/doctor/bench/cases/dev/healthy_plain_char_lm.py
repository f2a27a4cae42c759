"""A language model with warm-up, cosine and clipping."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="char_lm",
        seed=seed,
        at_least=0.7,
    )
