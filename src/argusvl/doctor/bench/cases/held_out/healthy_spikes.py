"""A wild batch now and then."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        variant=(
            Edit(
                "features, target = X_train[rows], y_train[rows]",
                "features, target = X_train[rows], y_train[rows] * (6.0 if start == 480 and epoch % 3 == 1 "
                "else 1.0)",
            ),
        ),
        at_least=0.8,
    )
