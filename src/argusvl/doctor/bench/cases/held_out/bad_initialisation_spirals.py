"""Every weight begins with the same value."""

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
                "        for p in self.model.parameters():\n"
                "            nn.init.constant_(p, 0.01)\n"
                "        self.loss = nn.CrossEntropyLoss()\n",
            ),
        ),
        truth=Truth(
            slug="bad-initialisation",
            lines=(
                "for p in self.model.parameters():",
                "nn.init.constant_(p, 0.01)",
            ),
            modules=(
                "input",
                "hidden1",
                "hidden2",
                "output",
            ),
        ),
    )
