"""Gradients add up."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        fault=(Edit("            optimizer.zero_grad()\n", ""),),
        truth=Truth(
            slug="missing-zero-grad",
            lines=(
                "for i in range(700 // bs):",
                "optimizer.step()",
            ),
        ),
    )
