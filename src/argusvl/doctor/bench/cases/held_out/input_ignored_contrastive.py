"""The picture encoder is fed with nothing."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="contrastive_pairs",
        seed=seed,
        fault=(Edit("self.picture_encoder(picture), dim=-1)", "self.picture_encoder(0 * picture), dim=-1)"),),
        truth=Truth(
            slug="input-ignored",
            lines=("a = F.normalize(self.picture_encoder(0 * picture), dim=-1)",),
            modules=(
                "picture_encoder",
                "picture",
                "image",
            ),
        ),
    )
