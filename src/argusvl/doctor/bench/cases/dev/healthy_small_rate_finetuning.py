"""A very small rate after pre-training is sensible."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="finetune",
        seed=seed,
        variant=(
            Edit("lr=1e-3", "lr=1e-4"),
            Edit(
                "    model = Classifier(backbone, 8)\n",
                "    model = Classifier(backbone, 8)\n"
                "    with torch.no_grad():\n"
                "        shots, kinds = sample(protos[16:], 200, g)\n"
                "        for k in range(8):\n"
                "            model.head.weight[k] = backbone(shots[kinds == k]).mean(0) * 0.1\n",
            ),
        ),
        at_least=0.9,
    )
