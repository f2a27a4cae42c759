"""Labels are drawn by another permutation than pictures."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        fault=(
            Edit("batch_y = train_labels[permutation[k : k + 25]]", "batch_y = train_labels[k : k + 25]"),
        ),
        truth=Truth(
            slug="labels-unrelated",
            lines=("batch_y = train_labels[k : k + 25]",),
            modules=("batch",),
        ),
    )
