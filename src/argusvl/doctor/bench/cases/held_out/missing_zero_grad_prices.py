"""Gradients add up."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        fault=(Edit("            net.zero_grad()\n", ""),),
        truth=Truth(
            slug="missing-zero-grad",
            lines=(
                "for start in range(0, len(X_train), 40):",
                "opt.step()",
            ),
            drop=0.01,
        ),
    )
