"""After the first validation dropout never comes back."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(Edit("nn.Dropout(0.1)", "nn.Dropout(0.4)"),),
        fault=(Edit("    model.train()\n", ""),),
        truth=Truth(
            slug="training-in-evaluation-mode",
            lines=(
                "def accuracy(model, x, y):",
                "return (predictions == y).float().mean().item()",
            ),
            harm="stated",
        ),
    )
