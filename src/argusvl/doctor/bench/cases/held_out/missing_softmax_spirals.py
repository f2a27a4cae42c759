"""NLL of raw scores."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="spirals_trainer",
        seed=seed,
        fault=(Edit("self.loss = nn.CrossEntropyLoss()", "self.loss = nn.NLLLoss()"),),
        truth=Truth(
            slug="missing-softmax",
            alternatives=("wrong-loss",),
            lines=("self.loss = nn.NLLLoss()",),
        ),
    )
