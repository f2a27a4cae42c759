"""A rate at which nothing is learned in the time."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        fault=(Edit("lr=3e-3", "lr=3e-7"),),
        truth=Truth(
            slug="learning-rate-too-low",
            lines=("optimizer = torch.optim.Adam(net.parameters(), lr=3e-7)",),
        ),
    )
