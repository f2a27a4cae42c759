"""Only the training is preprocessed."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="box_regressor",
        seed=seed,
        fault=(
            Edit("logits, predicted = detector(preprocess(images))", "logits, predicted = detector(images)"),
        ),
        truth=Truth(
            slug="evaluation-inputs-differ",
            lines=("logits, predicted = detector(images)",),
        ),
    )
