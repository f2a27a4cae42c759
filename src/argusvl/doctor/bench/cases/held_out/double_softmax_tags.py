"""A sigmoid before a loss that has one."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="multilabel_tags",
        seed=seed,
        fault=(
            Edit("return self.tags(self.net(counts))", "return torch.sigmoid(self.tags(self.net(counts)))"),
            Edit("said = torch.sigmoid(model(counts)) > 0.5", "said = model(counts) > 0.5"),
        ),
        truth=Truth(
            slug="double-softmax",
            lines=("return torch.sigmoid(self.tags(self.net(counts)))",),
            modules=("tags",),
            drop=0.01,
        ),
    )
