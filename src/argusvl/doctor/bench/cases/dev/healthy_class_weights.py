"""Weighted classes."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="gru_sequences",
        seed=seed,
        variant=(
            Edit(
                "nn.CrossEntropyLoss()", "nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 1.0, 1.5, 1.0]))"
            ),
        ),
        at_least=0.8,
    )
