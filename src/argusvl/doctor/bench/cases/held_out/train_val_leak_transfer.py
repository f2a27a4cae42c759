"""Tested on what was trained on."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (203,)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        fault=(
            Edit(
                "test_images, test_labels = images[500:], labels[500:]",
                "test_images, test_labels = images[300:500], labels[300:500]",
            ),
        ),
        truth=Truth(
            slug="train-val-leak",
            lines=("test_images, test_labels = images[300:500], labels[300:500]",),
            harm="stated",
        ),
    )
