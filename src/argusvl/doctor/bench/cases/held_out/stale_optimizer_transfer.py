"""The classifier is replaced after the optimizer was made."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        fault=(
            Edit("    net = GlyphModel(encoder, 5)\n", "    net = GlyphModel(encoder, 8)\n"),
            Edit("    monitor = watch_factory", "    net.fc = nn.Linear(48, 5)\n    monitor = watch_factory"),
        ),
        truth=Truth(
            slug="stale-optimizer",
            alternatives=("not-in-optimizer",),
            lines=(
                "optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)",
                "net.fc = nn.Linear(48, 5)",
            ),
            modules=("fc",),
            harm="weights",
        ),
    )
