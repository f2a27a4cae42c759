"""Gradients are not shared."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (203,)


def build(seed: int) -> Case:
    return Case(
        script="parallel_regression",
        seed=seed,
        fault=(Edit("            sync(model, world_size)\n", ""),),
        truth=Truth(
            slug="ranks-disagree",
            lines=(
                "loss.backward()",
                "optimizer.step()",
            ),
            harm="stated",
        ),
    )
