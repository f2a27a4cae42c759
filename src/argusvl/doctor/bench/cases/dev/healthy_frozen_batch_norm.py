"""Batch normalisation of a pre-trained backbone is held by eval() on purpose."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="finetune",
        seed=seed,
        variant=(
            Edit("self.norm = nn.LayerNorm(dim)", "self.norm = nn.BatchNorm1d(dim)"),
            Edit("        model.train()\n", "        model.train()\n        model.backbone.norm.eval()\n"),
        ),
        at_least=0.9,
    )
