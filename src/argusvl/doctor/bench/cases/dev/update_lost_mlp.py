"""bfloat16 weights round the updates away."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (11,)


def build(seed: int) -> Case:
    return Case(
        script="blobs_mlp",
        seed=seed,
        variant=(Edit("lr=0.05, momentum=0.9", "lr=0.004"),),
        fault=(
            Edit(
                "    model = MLP(10, 6)\n",
                "    model = MLP(10, 6).to(torch.bfloat16)\n"
                "    x_train, x_val = x_train.bfloat16(), x_val.bfloat16()\n",
            ),
        ),
        truth=Truth(
            slug="update-lost",
            lines=("model = MLP(10, 6).to(torch.bfloat16)",),
            modules=(
                "fc1",
                "fc2",
                "head",
            ),
        ),
    )
