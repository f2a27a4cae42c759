"""A GAN with a watch on each network."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (31, 32)


def build(seed: int) -> Case:
    return Case(
        script="gan_ring",
        seed=seed,
        at_least=0.5,
    )
