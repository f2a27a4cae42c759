"""Pictures are flipped, their boxes are not."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="box_regressor",
        seed=seed,
        fault=(
            Edit(
                "        boxes = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], "
                "1)\n",
                "",
            ),
        ),
        truth=Truth(
            slug="augmentation-inconsistent",
            lines=(
                "def random_flip(images, boxes, g):",
                "return images, boxes",
            ),
            modules=("batch",),
        ),
    )
