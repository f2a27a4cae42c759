"""Smoothed labels, whose loss does not reach zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        variant=(Edit("nn.CrossEntropyLoss()", "nn.CrossEntropyLoss(label_smoothing=0.2)"),),
        at_least=0.8,
    )
