"""The head is replaced after the optimizer was made."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="finetune",
        seed=seed,
        fault=(
            Edit("    model = Classifier(backbone, 8)\n", "    model = Classifier(backbone, 16)\n"),
            Edit(
                "    criterion = nn.CrossEntropyLoss()\n",
                "    model.head = nn.Linear(48, 8)\n    criterion = nn.CrossEntropyLoss()\n",
            ),
        ),
        truth=Truth(
            slug="stale-optimizer",
            alternatives=("not-in-optimizer",),
            lines=(
                "params = list(model.parameters())",
                "model.head = nn.Linear(48, 8)",
            ),
            modules=("head",),
            harm="weights",
        ),
    )
