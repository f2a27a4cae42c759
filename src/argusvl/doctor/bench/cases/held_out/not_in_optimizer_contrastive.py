"""A filter by name leaves an encoder out."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="contrastive_pairs",
        seed=seed,
        fault=(
            Edit(
                "params = [p for n, p in model.named_parameters()]",
                'params = [p for n, p in model.named_parameters() if not n.startswith("caption")]',
            ),
        ),
        truth=Truth(
            slug="not-in-optimizer",
            lines=(
                'params = [p for n, p in model.named_parameters() if not n.startswith("caption")]',
                "opt = torch.optim.AdamW(params, lr=4e-3, weight_decay=0.01)",
            ),
            modules=("caption_encoder",),
            harm="weights",
        ),
    )
