"""One process clips, the other does not."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="ddp_blobs",
        seed=seed,
        fault=(
            Edit(
                "        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n",
                "        if rank == 0:\n            nn.utils.clip_grad_norm_(model.parameters(), 0.1)\n",
            ),
        ),
        truth=Truth(
            slug="ranks-disagree",
            lines=(
                "if rank == 0:",
                "nn.utils.clip_grad_norm_(model.parameters(), 0.1)",
            ),
            harm="stated",
        ),
    )
