"""The model learns to repeat its input."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="char_lm",
        seed=seed,
        fault=(
            Edit(
                "loss = F.cross_entropy(logits.view(-1, logits.size(-1)), y.reshape(-1))",
                "loss = F.cross_entropy(logits.flatten(0, 1), x.flatten())",
            ),
        ),
        truth=Truth(
            slug="labels-shifted",
            alternatives=("target-in-inputs",),
            lines=("loss = F.cross_entropy(logits.flatten(0, 1), x.flatten())",),
            modules=("batch",),
        ),
    )
