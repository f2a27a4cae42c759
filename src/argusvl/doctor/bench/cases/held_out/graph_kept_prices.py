"""A sum of losses is kept with all their graphs."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(Edit("epoch_loss += loss.item()", "epoch_loss += loss"),),
        truth=Truth(
            slug="graph-kept",
            lines=("epoch_loss += loss",),
            harm="memory",
        ),
    )
