"""Batch normalisation is held in its first layer after the first epoch, on purpose."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        variant=(
            Edit(
                "        idx = torch.randperm(700, generator=g)\n",
                "        if epoch >= 3:\n"
                "            model.bn1.eval()  # its statistics are settled\n"
                "        idx = torch.randperm(700, generator=g)\n",
            ),
            Edit(
                "    model.train(was_training)\n",
                "    model.train(was_training)\n    if was_training:\n        model.bn1.eval()\n",
            ),
        ),
        at_least=0.8,
    )
