"""The new head is not given to the optimizer."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="finetune",
        seed=seed,
        fault=(Edit("params = list(model.parameters())", "params = list(model.backbone.parameters())"),),
        truth=Truth(
            slug="not-in-optimizer",
            lines=("params = list(model.backbone.parameters())",),
            modules=("head",),
            harm="weights",
        ),
    )
