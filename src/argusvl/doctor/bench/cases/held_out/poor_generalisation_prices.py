"""Twenty houses, again and again."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(
            Edit(
                "    X_train, X_valid, y_train, y_valid = X[:1000], X[1000:], y[:1000], y[1000:]\n",
                "    X_train, X_valid, y_train, y_valid = X[:20], X[1000:], y[:20], y[1000:]\n",
            ),
            Edit("for epoch in range(10):", "for epoch in range(250):"),
        ),
        truth=Truth(
            slug="poor-generalisation",
            lines=("X_train, X_valid, y_train, y_valid = X[:20], X[1000:], y[:20], y[1000:]",),
            repairable=False,
        ),
    )
