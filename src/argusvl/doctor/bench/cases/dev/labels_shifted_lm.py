"""Labels are shifted by the data and once more by the loss."""

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
                "loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), y[:, 1:].flatten())",
            ),
        ),
        truth=Truth(
            slug="labels-shifted",
            lines=("loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), y[:, 1:].flatten())",),
            modules=("batch",),
        ),
    )
