"""A pre-trained encoder is frozen; the optimizer filters."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        variant=(
            Edit(
                "    net = GlyphModel(encoder, 5)\n",
                "    # keep the pre-trained encoder fixed\n"
                "    for p in encoder.parameters():\n"
                "        p.requires_grad_(False)\n"
                "    net = GlyphModel(encoder, 5)\n",
            ),
            Edit(
                "torch.optim.Adam(net.parameters(), lr=2e-3)",
                "torch.optim.Adam(filter(lambda p: p.requires_grad, net.parameters()), lr=1e-2)",
            ),
        ),
        at_least=0.7,
    )
