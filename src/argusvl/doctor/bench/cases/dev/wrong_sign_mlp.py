"""The loss is negated."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        fault=(Edit("loss = F.cross_entropy(logits, y)", "loss = -F.cross_entropy(logits, y)"),),
        truth=Truth(
            slug="wrong-sign",
            lines=("loss = -F.cross_entropy(logits, y)",),
        ),
    )
