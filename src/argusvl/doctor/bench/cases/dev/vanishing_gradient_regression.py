"""Twelve sigmoids one after the other."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        fault=(
            Edit(
                "            nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 32), "
                "nn.SiLU()\n",
                "            nn.Linear(8, 64),\n"
                "            nn.Sigmoid(),\n"
                "            *[layer for _ in range(11) for layer in (nn.Linear(64, 64), nn.Sigmoid())],\n"
                "            nn.Linear(64, 32),\n"
                "            nn.Sigmoid(),\n",
            ),
        ),
        truth=Truth(
            slug="vanishing-gradient",
            lines=(
                "nn.Sigmoid(),",
                "*[layer for _ in range(11) for layer in (nn.Linear(64, 64), nn.Sigmoid())],",
            ),
            modules=("body",),
        ),
    )
