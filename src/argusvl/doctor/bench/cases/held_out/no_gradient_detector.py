"""What the neck reads is detached."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="box_regressor",
        seed=seed,
        fault=(Edit("self.neck(self.backbone(image))", "self.neck(self.backbone(image).detach())"),),
        truth=Truth(
            slug="no-gradient",
            lines=("h = F.relu(self.neck(self.backbone(image).detach()))",),
            modules=("backbone",),
            harm="weights",
        ),
    )
