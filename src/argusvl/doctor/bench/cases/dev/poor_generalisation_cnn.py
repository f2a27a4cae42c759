"""Forty pictures, again and again."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        fault=(
            Edit("TensorDataset(images[:800], labels[:800])", "TensorDataset(images[:40], labels[:40])"),
            Edit("epochs=7", "epochs=130"),
        ),
        truth=Truth(
            slug="poor-generalisation",
            lines=("train_set = TensorDataset(images[:40], labels[:40])",),
            repairable=False,
        ),
    )
