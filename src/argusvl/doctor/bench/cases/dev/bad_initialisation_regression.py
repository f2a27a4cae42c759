"""Weights begin far too large."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        fault=(
            Edit(
                "    optimizer = torch.optim.Adam",
                "    for module in net.modules():\n"
                "        if isinstance(module, nn.Linear):\n"
                "            nn.init.normal_(module.weight, std=6.0)\n"
                "    optimizer = torch.optim.Adam",
            ),
        ),
        truth=Truth(
            slug="bad-initialisation",
            lines=(
                "for module in net.modules():",
                "nn.init.normal_(module.weight, std=6.0)",
            ),
            modules=(
                "body",
                "out",
            ),
        ),
    )
