"""A processor that gives out empty pictures."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="two_tower",
        seed=seed,
        fault=(
            Edit(
                '            "pixel_values": train_set[0][pick],\n',
                '            "pixel_values": torch.zeros(len(pick), 3, 8, 8),\n',
            ),
        ),
        truth=Truth(
            slug="inputs-constant",
            lines=('"pixel_values": torch.zeros(len(pick), 3, 8, 8),',),
            modules=(
                "pixel_values",
                "batch",
            ),
        ),
    )
