"""[N, 1] against [N]."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(
            Edit(
                "    y_train = ((y_train - y_mu) / y_sigma).unsqueeze(1)\n",
                "    y_train = (y_train - y_mu) / y_sigma\n",
            ),
        ),
        truth=Truth(
            slug="loss-broadcast",
            lines=(
                "y_train = (y_train - y_mu) / y_sigma",
                "loss = mse(prediction, target)",
            ),
        ),
    )
