"""The captions are encoded under no_grad."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="contrastive_pairs",
        seed=seed,
        fault=(
            Edit(
                "        b = F.normalize(self.caption_encoder(caption), dim=-1)\n",
                "        with torch.no_grad():\n"
                "            b = F.normalize(self.caption_encoder(caption), dim=-1)\n",
            ),
        ),
        truth=Truth(
            slug="no-gradient",
            lines=(
                "with torch.no_grad():",
                "b = F.normalize(self.caption_encoder(caption), dim=-1)",
            ),
            modules=("caption_encoder",),
            harm="weights",
        ),
    )
