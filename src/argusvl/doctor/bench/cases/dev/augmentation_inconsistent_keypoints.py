"""Pictures are flipped, their points are not."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="keypoints",
        seed=seed,
        fault=(Edit("mirrored = points * torch.tensor([-1.0, 1.0, -1.0, 1.0])", "mirrored = points"),),
        truth=Truth(
            slug="augmentation-inconsistent",
            lines=(
                "images = torch.where(flip[:, None, None, None], images.flip(-1), images)",
                "points = torch.where(flip[:, None], mirrored, points)",
            ),
            modules=("batch",),
        ),
    )
