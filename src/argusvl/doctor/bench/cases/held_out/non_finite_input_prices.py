"""A column with missing values."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(
            Edit(
                "    y_mu, y_sigma = y_train.mean()",
                "    X_train[torch.rand(len(X_train), generator=g) < 0.01, 2] = torch.nan\n"
                "    y_mu, y_sigma = y_train.mean()",
            ),
        ),
        truth=Truth(
            slug="non-finite-input",
            lines=("X_train[torch.rand(len(X_train), generator=g) < 0.01, 2] = torch.nan",),
            modules=(
                "batch",
                "features",
            ),
        ),
    )
