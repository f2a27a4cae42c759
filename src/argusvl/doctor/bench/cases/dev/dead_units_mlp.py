"""A bias kills the units of a layer."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        fault=(
            Edit(
                "        self.drop = nn.Dropout(0.1)\n",
                "        nn.init.constant_(self.fc1.bias, -12.0)\n        self.drop = nn.Dropout(0.1)\n",
            ),
        ),
        truth=Truth(
            slug="dead-units",
            alternatives=("bad-initialisation",),
            lines=("nn.init.constant_(self.fc1.bias, -12.0)",),
            modules=("fc1",),
        ),
    )
