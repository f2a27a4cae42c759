"""Easy points first, then all."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(
            Edit(
                "            index = order[start : start + 32]\n",
                "            index = order[start : start + 32]\n"
                "            if epoch < 3:\n"
                "                index = index[x_train[index].norm(dim=1) > 5]\n",
            ),
        ),
        at_least=0.9,
    )
