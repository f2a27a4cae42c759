"""The image tower's output is detached."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="two_tower",
        seed=seed,
        fault=(Edit("v = self.vision(pixels)", "v = self.vision(pixels).detach()"),),
        truth=Truth(
            slug="no-gradient",
            lines=("v = self.vision(pixels).detach()",),
            modules=("vision",),
            harm="weights",
        ),
    )
