"""All but the last layer are frozen, and nothing was pre-trained."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="spirals_trainer",
        seed=seed,
        fault=(
            Edit(
                "        self.loss = nn.CrossEntropyLoss()\n",
                "        for layer in list(self.model.children())[:3]:\n"
                "            layer.requires_grad_(False)\n"
                "        self.loss = nn.CrossEntropyLoss()\n",
            ),
        ),
        truth=Truth(
            slug="accidental-freeze",
            lines=(
                "for layer in list(self.model.children())[:3]:",
                "layer.requires_grad_(False)",
            ),
            modules=(
                "input",
                "hidden1",
                "hidden2",
            ),
            harm="weights",
        ),
    )
