"""Each process begins with its own weights."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (203,)


def build(seed: int) -> Case:
    return Case(
        script="parallel_regression",
        seed=seed,
        fault=(
            Edit("    torch.manual_seed(seed)\n    model", "    torch.manual_seed(seed + rank)\n    model"),
        ),
        truth=Truth(
            slug="ranks-disagree",
            lines=(
                "torch.manual_seed(seed + rank)",
                "model = Regressor()",
            ),
            harm="stated",
        ),
    )
