"""A frozen pre-trained backbone; the optimizer has the head."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="finetune",
        seed=seed,
        variant=(
            Edit(
                "    params = list(model.parameters())\n",
                "    for p in model.backbone.parameters():\n"
                "        p.requires_grad = False\n"
                "    params = list(model.head.parameters())\n",
            ),
            Edit("lr=1e-3", "lr=5e-3"),
        ),
        at_least=0.9,
    )
