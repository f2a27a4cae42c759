"""A cosine with restarts."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        variant=(
            Edit(
                "torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)",
                "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)",
            ),
        ),
        at_least=0.8,
    )
