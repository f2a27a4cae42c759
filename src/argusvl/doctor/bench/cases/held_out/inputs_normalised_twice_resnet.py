"""Normalised twice."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        fault=(
            Edit(
                "return (picture.float() - MEAN) / STD",
                "return ((picture.float() - MEAN) / STD - MEAN) / STD",
            ),
        ),
        truth=Truth(
            slug="inputs-normalised-twice",
            lines=("return ((picture.float() - MEAN) / STD - MEAN) / STD",),
            modules=("batch",),
            harm="stated",
        ),
    )
