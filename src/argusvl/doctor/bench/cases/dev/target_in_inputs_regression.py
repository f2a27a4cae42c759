"""The price is among the columns."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        fault=(
            Edit(
                "    return table * scale, price\n",
                "    table = torch.cat([table[:, :7] * scale[:7], price[:, None]], 1)\n"
                "    return table, price\n",
            ),
        ),
        truth=Truth(
            slug="target-in-inputs",
            lines=("table = torch.cat([table[:, :7] * scale[:7], price[:, None]], 1)",),
            modules=(
                "batch",
                "columns",
            ),
            harm="inflated",
            drop=0.002,
        ),
    )
