"""Dropout is on while validating."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(Edit("nn.Dropout(0.1)", "nn.Dropout(0.85)"),),
        fault=(Edit("    model.eval()\n", ""),),
        truth=Truth(
            slug="evaluation-in-training-mode",
            lines=(
                "def accuracy(model, x, y):",
                "predictions = model(x).argmax(1)",
            ),
            drop=0.01,
        ),
    )
