"""Nothing is learned in the time."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="sequence_transformer",
        seed=seed,
        fault=(Edit("    lr = 3e-3\n", "    lr = 1e-6\n"),),
        truth=Truth(
            slug="learning-rate-too-low",
            lines=("lr = 1e-6",),
        ),
    )
