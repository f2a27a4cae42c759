"""Two of three points are of one class."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(
            Edit(
                "    labels = torch.randint(num_classes, (n,), generator=generator)\n",
                "    labels = torch.randint(num_classes, (n,), generator=generator)\n"
                "    labels[torch.rand(n, generator=generator) < 0.6] = 0\n",
            ),
        ),
        at_least=0.9,
    )
