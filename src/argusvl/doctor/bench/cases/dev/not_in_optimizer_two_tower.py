"""The image tower is not given to the optimizer."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="two_tower",
        seed=seed,
        fault=(Edit('            {"params": model.vision.parameters(), "lr": 3e-3},\n', ""),),
        truth=Truth(
            slug="not-in-optimizer",
            lines=(
                "optimizer = torch.optim.AdamW(",
                "weight_decay=1e-4,",
            ),
            modules=("vision",),
            harm="weights",
        ),
    )
