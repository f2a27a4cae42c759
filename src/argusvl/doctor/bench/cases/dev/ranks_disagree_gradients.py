"""Gradients are not shared."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="ddp_blobs",
        seed=seed,
        fault=(Edit("        average_gradients(model)\n", ""),),
        truth=Truth(
            slug="ranks-disagree",
            lines=(
                "loss.backward()",
                "optimizer.step()",
            ),
            harm="stated",
        ),
    )
