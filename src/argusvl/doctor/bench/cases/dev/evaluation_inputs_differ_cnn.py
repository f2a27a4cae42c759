"""Only the training normalises."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        fault=(
            Edit(
                "inputs = self.normalize(images)\n            correct",
                "inputs = images.float()\n            correct",
            ),
        ),
        truth=Truth(
            slug="evaluation-inputs-differ",
            lines=("inputs = images.float()",),
        ),
    )
