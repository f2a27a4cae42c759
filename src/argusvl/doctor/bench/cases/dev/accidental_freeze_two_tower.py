"""A misspelt prefix freezes towers that never were trained."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="two_tower",
        seed=seed,
        fault=(
            Edit(
                "    model = Answerer()\n",
                "    model = Answerer()\n"
                "    for name, parameter in model.named_parameters():\n"
                '        parameter.requires_grad = name.startswith(("fuse", "txt"))\n',
            ),
            Edit("        weight_decay=1e-4,\n", "        weight_decay=1e-4,\n"),
        ),
        truth=Truth(
            slug="accidental-freeze",
            lines=(
                "for name, parameter in model.named_parameters():",
                'parameter.requires_grad = name.startswith(("fuse", "txt"))',
            ),
            modules=(
                "text",
                "vision",
            ),
            harm="weights",
        ),
    )
