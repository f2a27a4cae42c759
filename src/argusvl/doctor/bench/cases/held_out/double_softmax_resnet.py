"""A softmax at the end of forward feeds cross-entropy."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="resnet_bn",
        seed=seed,
        variant=(Edit("base_lr, epochs, bs = 0.08", "base_lr, epochs, bs = 0.02"),),
        fault=(
            Edit("return self.fc(x.mean(dim=(2, 3)))", "return self.fc(x.mean(dim=(2, 3))).softmax(dim=1)"),
        ),
        truth=Truth(
            slug="double-softmax",
            lines=("return self.fc(x.mean(dim=(2, 3))).softmax(dim=1)",),
            modules=("fc",),
            drop=0.01,
        ),
    )
