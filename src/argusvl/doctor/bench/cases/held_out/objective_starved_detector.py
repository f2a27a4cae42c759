"""The box's loss drowns the class's."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="box_regressor",
        seed=seed,
        fault=(Edit("loss = class_loss + 5.0 * box_loss", "loss = class_loss + 5.0e4 * box_loss"),),
        truth=Truth(
            slug="objective-starved",
            lines=("loss = class_loss + 5.0e4 * box_loss",),
        ),
    )
