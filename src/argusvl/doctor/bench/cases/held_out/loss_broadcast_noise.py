"""[N] against [N, 1]."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(Edit("prediction = net(features)", "prediction = net(features).squeeze(1)"),),
        truth=Truth(
            slug="loss-broadcast",
            lines=(
                "prediction = net(features).squeeze(1)",
                "loss = mse(prediction, target)",
            ),
        ),
    )
