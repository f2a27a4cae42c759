"""A GAN."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="gan_moons",
        seed=seed,
        at_least=0.7,
    )
