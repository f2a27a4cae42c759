"""Pictures of 0 to 255."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="box_regressor",
        seed=seed,
        fault=(Edit("return (images - 90) / 60", "return images"),),
        truth=Truth(
            slug="inputs-not-normalised",
            lines=(
                "def preprocess(images):",
                "return images",
            ),
            modules=(
                "batch",
                "image",
            ),
            drop=0.02,
        ),
    )
