"""A column has missing values."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        fault=(
            Edit(
                "    features = (features - mean) / std\n",
                "    features = (features - mean) / std\n    features[3::97, 3] = float('nan')\n",
            ),
        ),
        truth=Truth(
            slug="non-finite-input",
            lines=("features[3::97, 3] = float('nan')",),
            modules=(
                "batch",
                "columns",
            ),
        ),
    )
