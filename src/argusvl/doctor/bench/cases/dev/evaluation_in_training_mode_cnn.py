"""Dropout is on while validating."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="shapes_cnn",
        seed=seed,
        variant=(Edit("nn.Dropout(0.2)", "nn.Dropout(0.5)"),),
        fault=(Edit("        self.net.eval()\n", ""),),
        truth=Truth(
            slug="evaluation-in-training-mode",
            lines=(
                "def evaluate(self, loader):",
                "return correct / total",
            ),
            drop=0.01,
        ),
    )
