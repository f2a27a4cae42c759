"""Only the training columns are standardised."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(
            Edit(
                "X_train, X_valid = (X_train - mu) / sigma, (X_valid - mu) / sigma",
                "X_train = (X_train - mu) / sigma",
            ),
        ),
        truth=Truth(
            slug="evaluation-inputs-differ",
            lines=("X_train = (X_train - mu) / sigma",),
        ),
    )
