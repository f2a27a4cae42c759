"""The optimizer maximises."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        fault=(Edit("lr=3e-3)", "lr=3e-3, maximize=True)"),),
        truth=Truth(
            slug="wrong-sign",
            lines=("optimiser = torch.optim.NAdam(tagger.parameters(), lr=3e-3, maximize=True)",),
        ),
    )
