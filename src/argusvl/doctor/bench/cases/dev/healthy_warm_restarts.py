"""A cosine that restarts."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        variant=(
            Edit(
                "torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)",
                "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)",
            ),
        ),
        at_least=0.9,
    )
