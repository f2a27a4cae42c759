"""Prices in whole thousands."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        variant=(
            Edit(
                "    y_mu, y_sigma",
                "    y_train, y_valid = y_train.round(), y_valid.round()\n    y_mu, y_sigma",
            ),
        ),
        at_least=0.85,
    )
