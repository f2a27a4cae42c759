"""The data come class by class."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        fault=(
            Edit(
                "    x_val, y_val = points[1200:], labels[1200:]\n",
                "    x_val, y_val = points[1200:], labels[1200:]\n"
                "    y_train, by_class = y_train.sort()\n"
                "    x_train = x_train[by_class]\n",
            ),
            Edit(
                "order = torch.randperm(len(x_train), generator=generator)",
                "order = torch.arange(len(x_train))",
            ),
        ),
        truth=Truth(
            slug="data-not-shuffled",
            lines=(
                "y_train, by_class = y_train.sort()",
                "index = order[start : start + 32]",
            ),
            modules=("batch",),
        ),
    )
