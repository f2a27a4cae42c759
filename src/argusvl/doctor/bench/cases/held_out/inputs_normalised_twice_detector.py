"""Normalised in the augmentation and again before the model."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="box_regressor",
        seed=seed,
        fault=(
            Edit(
                "img, cls = preprocess(img), labels[sel]",
                "img, cls = preprocess(preprocess(img)), labels[sel]",
            ),
            Edit(
                "logits, predicted = detector(preprocess(images))",
                "logits, predicted = detector(preprocess(preprocess(images)))",
            ),
        ),
        truth=Truth(
            slug="inputs-normalised-twice",
            lines=("img, cls = preprocess(preprocess(img)), labels[sel]",),
            modules=(
                "batch",
                "image",
            ),
            drop=0.003,
        ),
    )
