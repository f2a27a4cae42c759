"""requires_grad is misspelt."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="finetune",
        seed=seed,
        variant=(
            Edit(
                "    params = list(model.parameters())\n",
                "    # the backbone stays frozen, only the head learns\n"
                "    for p in model.backbone.parameters():\n"
                "        p.requires_grad = False\n"
                "    params = list(model.parameters())\n",
            ),
        ),
        fault=(Edit("p.requires_grad = False", "p.require_grad = False"),),
        truth=Truth(
            slug="missing-freeze",
            lines=(
                "# the backbone stays frozen, only the head learns",
                "p.require_grad = False",
            ),
            modules=("backbone",),
            harm="weights",
        ),
    )
