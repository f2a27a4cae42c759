"""A misspelt prefix freezes features that never were trained."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="keypoints",
        seed=seed,
        fault=(
            Edit(
                "    net = KeypointNet()\n",
                "    net = KeypointNet()\n"
                "    for name, p in net.named_parameters():\n"
                '        p.requires_grad = name.startswith(("feature_net", "regressor.3"))\n',
            ),
        ),
        truth=Truth(
            slug="accidental-freeze",
            lines=(
                "for name, p in net.named_parameters():",
                'p.requires_grad = name.startswith(("feature_net", "regressor.3"))',
            ),
            modules=("features",),
        ),
    )
