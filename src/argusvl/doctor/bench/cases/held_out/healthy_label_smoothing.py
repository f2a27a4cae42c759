"""Smoothed labels."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="word_lm",
        seed=seed,
        variant=(Edit("nn.CrossEntropyLoss()", "nn.CrossEntropyLoss(label_smoothing=0.1)"),),
        at_least=0.7,
    )
