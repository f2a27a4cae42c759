"""The last normalisation of each block begins at zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        variant=(
            Edit(
                "        self.bn2 = nn.BatchNorm2d(planes)\n",
                "        self.bn2 = nn.BatchNorm2d(planes)\n        nn.init.zeros_(self.bn2.weight)\n",
            ),
        ),
        at_least=0.85,
    )
