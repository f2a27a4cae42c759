"""NLL of raw scores."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        fault=(Edit("loss = F.cross_entropy(scores, batch_y)", "loss = F.nll_loss(scores, batch_y)"),),
        truth=Truth(
            slug="missing-softmax",
            alternatives=("wrong-loss",),
            lines=("loss = F.nll_loss(scores, batch_y)",),
        ),
    )
