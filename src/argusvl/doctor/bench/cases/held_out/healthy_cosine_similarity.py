"""A loss that is the negative cosine."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="denoiser",
        seed=seed,
        variant=(
            Edit(
                "loss = F.mse_loss(output, clean)",
                "loss = F.mse_loss(output, clean) - F.cosine_similarity(output.flatten(1), clean.flatten(1)"
                ").mean()",
            ),
        ),
        at_least=0.8,
    )
