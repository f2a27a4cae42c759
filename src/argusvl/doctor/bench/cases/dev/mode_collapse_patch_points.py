"""Patches do not know where they are: the same answer for every picture."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11, 23)


def build(seed: int) -> Case:
    return Case(
        script="patch_points",
        seed=seed,
        fault=(
            Edit(
                "net = PatchPoints(width=32, positions=True)", "net = PatchPoints(width=32, positions=False)"
            ),
        ),
        truth=Truth(
            slug="mode-collapse",
            lines=("net = PatchPoints(width=32, positions=False)",),
        ),
        at_least=0.8,
    )
