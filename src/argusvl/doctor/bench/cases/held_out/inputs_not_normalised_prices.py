"""Columns of very different scale."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        variant=(
            Edit(
                "torch.optim.RMSprop(net.parameters(), lr=2e-3)",
                "torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)",
            ),
        ),
        fault=(Edit("    X_train, X_valid = (X_train - mu) / sigma, (X_valid - mu) / sigma\n", ""),),
        truth=Truth(
            slug="inputs-not-normalised",
            lines=("mu, sigma = X_train.mean(0), X_train.std(0)",),
            modules=(
                "batch",
                "features",
            ),
            drop=0.02,
        ),
    )
