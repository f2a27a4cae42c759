"""Cross-entropy by hand, with the logarithm of what underflows."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        fault=(
            Edit(
                "loss = criterion(said, wanted)",
                "chance = torch.sigmoid(40 * said)\n"
                "            loss = -(wanted * torch.log(chance) + (1 - wanted) * torch.log(1 - chance)).me"
                "an()",
            ),
        ),
        truth=Truth(
            slug="non-finite-loss",
            lines=(
                "chance = torch.sigmoid(40 * said)",
                "loss = -(wanted * torch.log(chance) + (1 - wanted) * torch.log(1 - chance)).mean()",
            ),
        ),
    )
