"""Normal weights of far too great a spread."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="sequence_transformer",
        seed=seed,
        fault=(
            Edit(
                "    model = SequenceClassifier(cfg)\n",
                "    model = SequenceClassifier(cfg)\n"
                "    for p in model.parameters():\n"
                "        if p.dim() > 1:\n"
                "            nn.init.normal_(p, std=3.0)\n",
            ),
        ),
        truth=Truth(
            slug="bad-initialisation",
            lines=(
                "for p in model.parameters():",
                "nn.init.normal_(p, std=3.0)",
            ),
            modules=(
                "encoder",
                "token_embedding",
                "classifier",
            ),
        ),
    )
