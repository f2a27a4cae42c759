"""Cross-entropy of probabilities."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(Edit("lr=0.05, momentum=0.9", "lr=0.02"),),
        fault=(
            Edit(
                "logits = model(x)\n            loss", "logits = F.softmax(model(x), dim=1)\n            loss"
            ),
        ),
        truth=Truth(
            slug="double-softmax",
            lines=(
                "logits = F.softmax(model(x), dim=1)",
                "loss = F.cross_entropy(logits, y)",
            ),
            drop=0.02,
        ),
    )
