"""The logarithm of a probability that has become zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        fault=(
            Edit(
                "loss = F.cross_entropy(logits, y)",
                "loss = -torch.log(F.softmax(20 * logits, dim=1)[torch.arange(len(y)), y]).mean()",
            ),
        ),
        truth=Truth(
            slug="non-finite-loss",
            lines=("loss = -torch.log(F.softmax(20 * logits, dim=1)[torch.arange(len(y)), y]).mean()",),
        ),
    )
