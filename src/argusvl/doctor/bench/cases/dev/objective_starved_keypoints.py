"""One mark's loss weighs ten thousand times the other's."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="keypoints",
        seed=seed,
        fault=(
            Edit(
                "loss = loss_fn(pred, pts)",
                "loss = 1e4 * loss_fn(pred[:, :2], pts[:, :2]) + loss_fn(pred[:, 2:], pts[:, 2:])",
            ),
        ),
        truth=Truth(
            slug="objective-starved",
            lines=("loss = 1e4 * loss_fn(pred[:, :2], pts[:, :2]) + loss_fn(pred[:, 2:], pts[:, 2:])",),
        ),
    )
