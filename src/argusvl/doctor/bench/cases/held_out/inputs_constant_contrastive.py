"""Pictures are zeros."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="contrastive_pairs",
        seed=seed,
        fault=(
            Edit(
                "picture, caption = pairs(1400, g)",
                "picture, caption = pairs(1400, g)\n    picture = torch.zeros_like(picture)",
            ),
        ),
        truth=Truth(
            slug="inputs-constant",
            lines=("picture = torch.zeros_like(picture)",),
            modules=(
                "batch",
                "image",
            ),
        ),
    )
