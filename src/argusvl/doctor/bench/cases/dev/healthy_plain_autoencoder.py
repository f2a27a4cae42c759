"""An autoencoder, whose inputs are its targets."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (31, 32)


def build(seed: int) -> Case:
    return Case(
        script="autoencoder",
        seed=seed,
        at_least=0.9,
    )
