"""Batch normalisation learns from the validation."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        fault=(Edit("    model.eval()\n", ""),),
        truth=Truth(
            slug="evaluation-in-training-mode",
            lines=(
                "was_training = model.training",
                "model.train(was_training)",
            ),
            harm="stated",
        ),
    )
