"""Gradients add up in a clipped language model."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="char_lm",
        seed=seed,
        fault=(Edit("        opt.zero_grad()\n", ""),),
        truth=Truth(
            slug="missing-zero-grad",
            lines=(
                "x, y = get_batch(train_data, 16, g)",
                "opt.step()",
            ),
            drop=0.01,
        ),
    )
