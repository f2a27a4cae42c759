"""NLL of raw scores."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        fault=(Edit("criterion = nn.CrossEntropyLoss()", "criterion = nn.NLLLoss()"),),
        truth=Truth(
            slug="missing-softmax",
            alternatives=("wrong-loss",),
            lines=("criterion = nn.NLLLoss()",),
        ),
    )
