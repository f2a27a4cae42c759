"""Dropout while validating."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        variant=(Edit("p=0.2", "p=0.6"),),
        fault=(Edit("    model.eval()\n", ""),),
        truth=Truth(
            slug="evaluation-in-training-mode",
            lines=(
                "def f1(model, counts, topics):",
                "model.train()",
            ),
            drop=0.005,
        ),
    )
