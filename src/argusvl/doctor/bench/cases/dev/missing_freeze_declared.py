"""The watch is told that the backbone is frozen, and it trains."""

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
            Edit("watch_factory(model, optimizer)", 'watch_factory(model, optimizer, frozen=["backbone"])'),
        ),
        fault=(Edit("    for p in model.backbone.parameters():\n        p.requires_grad = False\n", ""),),
        truth=Truth(
            slug="missing-freeze",
            lines=(
                "# the backbone stays frozen, only the head learns",
                "params = list(model.parameters())",
            ),
            modules=("backbone",),
            harm="weights",
        ),
    )
