"""Glyph by glyph."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        fault=(
            Edit(
                "        permutation = torch.randperm(500, generator=g)\n",
                "        permutation = train_labels.argsort()\n",
            ),
        ),
        truth=Truth(
            slug="data-not-shuffled",
            lines=("permutation = train_labels.argsort()",),
            modules=("batch",),
            drop=0.02,
        ),
    )
