"""Squared error against the number of the class."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        fault=(
            Edit(
                "loss = F.cross_entropy(logits, y)",
                "loss = F.mse_loss(logits, y.float().unsqueeze(1).expand_as(logits))",
            ),
        ),
        truth=Truth(
            slug="wrong-loss",
            lines=("loss = F.mse_loss(logits, y.float().unsqueeze(1).expand_as(logits))",),
        ),
    )
