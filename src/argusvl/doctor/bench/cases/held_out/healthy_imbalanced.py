"""Seven of ten are of one kind."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        variant=(
            Edit(
                "    labels = torch.randint(5, (n,), generator=g)\n",
                "    labels = torch.randint(5, (n,), generator=g)\n"
                "    labels[torch.rand(n, generator=g) < 0.6] = 2\n",
            ),
        ),
        at_least=0.85,
    )
