"""A regression on counts."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        variant=(
            Edit(
                "    price = 20 + 5 * (price + 0.1 * torch.randn(n, generator=rng))\n",
                "    price = (20 + 5 * (price + 0.1 * torch.randn(n, generator=rng))).round().long()\n",
            ),
            Edit(
                "    target_mean, target_std = price",
                "    price = price.float()\n    target_mean, target_std = price",
            ),
        ),
        at_least=0.9,
    )
