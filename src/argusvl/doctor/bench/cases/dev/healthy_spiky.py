"""A wild batch now and then, from which it recovers."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        variant=(
            Edit(
                "            xb, yb = train_x[rows], train_y[rows]\n",
                "            xb, yb = train_x[rows], train_y[rows]\n"
                "            if torch.rand(1, generator=shuffler) < 0.02:\n"
                "                yb = yb * 4\n",
            ),
        ),
        at_least=0.85,
    )
