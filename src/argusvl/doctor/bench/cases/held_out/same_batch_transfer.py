"""The first chunk is taken every time."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        fault=(
            Edit("batch_x = train_images[permutation[k : k + 25]]", "batch_x = train_images[:25]"),
            Edit("batch_y = train_labels[permutation[k : k + 25]]", "batch_y = train_labels[:25]"),
        ),
        truth=Truth(
            slug="same-batch",
            lines=(
                "batch_x = train_images[:25]",
                "batch_y = train_labels[:25]",
            ),
            modules=("batch",),
        ),
    )
