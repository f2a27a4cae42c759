"""The logarithm of counts that are zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        fault=(Edit("counts = torch.log1p(counts)", "counts = torch.log(counts)"),),
        truth=Truth(
            slug="non-finite-input",
            lines=("counts = torch.log(counts)",),
            modules=("batch",),
        ),
    )
