"""A cosine at each step down to zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="box_regressor",
        seed=seed,
        variant=(
            Edit(
                "torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[5], gamma=0.3)",
                "torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=280)",
            ),
            Edit(
                "            optimizer.step()\n",
                "            optimizer.step()\n            scheduler.step()\n",
            ),
            Edit("        scheduler.step()\n    return", "    return"),
        ),
        at_least=0.7,
    )
