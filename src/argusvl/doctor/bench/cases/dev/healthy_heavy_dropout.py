"""Seven of ten units are dropped."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(Edit("nn.Dropout(0.1)", "nn.Dropout(0.7)"),),
        at_least=0.9,
    )
