"""A misspelt name freezes a backbone that never was trained."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="box_regressor",
        seed=seed,
        fault=(
            Edit(
                "    detector = Detector()\n",
                "    detector = Detector()\n"
                '    trainable = ("bacbone", "neck", "class_head", "box_head")\n'
                "    for name, param in detector.named_parameters():\n"
                '        param.requires_grad_(name.split(".")[0] in trainable)\n',
            ),
        ),
        truth=Truth(
            slug="accidental-freeze",
            lines=(
                'trainable = ("bacbone", "neck", "class_head", "box_head")',
                'param.requires_grad_(name.split(".")[0] in trainable)',
            ),
            modules=("backbone",),
            harm="weights",
        ),
    )
