"""Six of ten units are dropped."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="spirals_trainer",
        seed=seed,
        variant=(Edit("nn.Dropout(0.05)", "nn.Dropout(0.6)"),),
        at_least=0.9,
    )
