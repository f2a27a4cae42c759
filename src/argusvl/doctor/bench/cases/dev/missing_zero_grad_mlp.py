"""Gradients add up over all steps."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        fault=(Edit("            optimizer.zero_grad()\n", ""),),
        truth=Truth(
            slug="missing-zero-grad",
            lines=(
                "for start in range(0, len(order), 32):",
                "optimizer.step()",
            ),
        ),
    )
