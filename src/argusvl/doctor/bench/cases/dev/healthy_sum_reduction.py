"""The sum over a batch, with a rate to suit."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(
            Edit("F.cross_entropy(logits, y)", 'F.cross_entropy(logits, y, reduction="sum")'),
            Edit("lr=0.05", "lr=0.0015"),
        ),
        at_least=0.9,
    )
