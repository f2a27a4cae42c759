"""Labels are shuffled apart from their points."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        fault=(
            Edit(
                "x_train, y_train = points[:1200], labels[:1200]",
                "x_train, y_train = points[:1200], labels[torch.randperm(1200, generator=generator)]",
            ),
        ),
        truth=Truth(
            slug="labels-unrelated",
            lines=("x_train, y_train = points[:1200], labels[torch.randperm(1200, generator=generator)]",),
            modules=("batch",),
        ),
    )
