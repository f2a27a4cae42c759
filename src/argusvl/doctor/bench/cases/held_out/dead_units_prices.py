"""A bias kills a layer."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(
            Edit(
                "        self.l4 = nn.Linear(24, 1)\n",
                "        self.l4 = nn.Linear(24, 1)\n        nn.init.constant_(self.l2.bias, -30.0)\n",
            ),
        ),
        truth=Truth(
            slug="dead-units",
            alternatives=("bad-initialisation",),
            lines=("nn.init.constant_(self.l2.bias, -30.0)",),
            modules=("l2",),
        ),
    )
