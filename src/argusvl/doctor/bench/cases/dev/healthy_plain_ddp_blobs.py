"""Two processes."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="ddp_blobs",
        seed=seed,
        at_least=0.9,
    )
