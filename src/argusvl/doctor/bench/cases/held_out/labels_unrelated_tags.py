"""Documents and tags are shuffled apart."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        fault=(
            Edit(
                "counts, topics = counts[:1300], topics[:1300]",
                "counts, topics = counts[:1300], topics[torch.randperm(1300, generator=rng)]",
            ),
        ),
        truth=Truth(
            slug="labels-unrelated",
            lines=("counts, topics = counts[:1300], topics[torch.randperm(1300, generator=rng)]",),
            modules=("batch",),
        ),
    )
