"""Columns of very different scale."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        fault=(Edit("    features = (features - mean) / std\n", ""),),
        truth=Truth(
            slug="inputs-not-normalised",
            lines=("mean, std = features[:split].mean(0), features[:split].std(0)",),
            modules=(
                "batch",
                "columns",
            ),
            drop=0.05,
        ),
    )
