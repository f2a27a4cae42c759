"""Nothing is learned in the time."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="contrastive_pairs",
        seed=seed,
        fault=(Edit("lr=4e-3", "lr=4e-7"),),
        truth=Truth(
            slug="learning-rate-too-low",
            lines=("opt = torch.optim.AdamW(params, lr=4e-7, weight_decay=0.01)",),
        ),
    )
