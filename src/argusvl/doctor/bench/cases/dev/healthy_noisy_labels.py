"""Three of ten labels are wrong."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(
            Edit(
                "    x_val, y_val = points[1200:], labels[1200:]\n",
                "    x_val, y_val = points[1200:], labels[1200:]\n"
                "    wrong = torch.rand(1200, generator=generator) < 0.3\n"
                "    y_train = torch.where(wrong, torch.randint(6, (1200,), generator=generator), y_train)\n",
            ),
            Edit("lr=0.05", "lr=0.02"),
        ),
        at_least=0.9,
    )
