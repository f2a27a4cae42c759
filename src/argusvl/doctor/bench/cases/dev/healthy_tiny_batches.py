"""Batches of two."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(
            Edit("lr=0.05, momentum=0.9", "lr=0.01"),
            Edit("len(order), 32)", "600, 2)"),
            Edit("start + 32]", "start + 2]"),
            Edit("range(8)", "range(1)"),
        ),
        at_least=0.85,
    )
