"""A linear warm-up from zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211,)


def build(seed: int) -> Case:
    return Case(
        script="sequence_transformer",
        seed=seed,
        variant=(
            Edit(
                "    step = 0\n    while True:\n",
                "    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, s / 40))\n"
                "    step = 0\n"
                "    while True:\n",
            ),
            Edit("        optimizer.step()\n", "        optimizer.step()\n        warmup.step()\n"),
        ),
        at_least=0.9,
    )
