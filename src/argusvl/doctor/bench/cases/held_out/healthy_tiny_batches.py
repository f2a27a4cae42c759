"""Batches of three."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        variant=(
            Edit(".split(32)", "[:900].split(3)"),
            Edit("range(7)", "range(1)"),
            Edit("nn.BatchNorm1d(64)", "nn.LayerNorm(64)"),
            Edit("lr=3e-3", "lr=1e-3"),
        ),
        at_least=0.75,
    )
