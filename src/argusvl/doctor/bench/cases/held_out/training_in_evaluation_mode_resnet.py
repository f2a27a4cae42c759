"""The mode is not restored after the validation."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        fault=(Edit("    model.train(was_training)\n", ""),),
        truth=Truth(
            slug="training-in-evaluation-mode",
            lines=(
                "was_training = model.training",
                "return loss, acc",
            ),
            harm="stated",
        ),
    )
