"""The first step has a rate of 0, and so has the last."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="char_lm",
        seed=seed,
        variant=(
            Edit("max_lr * (step + 1) / warmup", "max_lr * step / warmup"),
            Edit("/ (max_steps - warmup)))", "/ (max_steps - 1 - warmup)))"),
        ),
        at_least=0.7,
    )
