"""The logarithm of standardised prices."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(
            Edit("loss = mse(prediction, target)", "loss = mse(torch.log(prediction), torch.log(target))"),
        ),
        truth=Truth(
            slug="non-finite-loss",
            lines=("loss = mse(torch.log(prediction), torch.log(target))",),
        ),
    )
