"""Rare tags weigh more."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        variant=(
            Edit("nn.BCEWithLogitsLoss()", "nn.BCEWithLogitsLoss(pos_weight=torch.full((TOPICS,), 2.5))"),
        ),
        at_least=0.85,
    )
