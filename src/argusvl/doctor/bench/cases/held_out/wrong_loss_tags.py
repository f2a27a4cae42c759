"""One topic of many by cross-entropy, where several hold."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        fault=(Edit("criterion = nn.BCEWithLogitsLoss()", "criterion = nn.CrossEntropyLoss()"),),
        truth=Truth(
            slug="wrong-loss",
            lines=("criterion = nn.CrossEntropyLoss()",),
        ),
    )
