"""A rate at which SGD diverges."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        fault=(Edit("lr=0.05", "lr=5.0"),),
        truth=Truth(
            slug="learning-rate-too-high",
            lines=("optimizer = torch.optim.SGD(model.parameters(), lr=5.0, momentum=0.9)",),
        ),
    )
