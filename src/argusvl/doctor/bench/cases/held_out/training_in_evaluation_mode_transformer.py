"""The mode is not restored after the validation."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="sequence_transformer",
        seed=seed,
        fault=(Edit("    model.train()\n", ""),),
        truth=Truth(
            slug="training-in-evaluation-mode",
            lines=(
                "def accuracy(model, tokens, label):",
                "return acc",
            ),
            harm="stated",
        ),
    )
