"""The encoder is declared frozen and trains."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


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
            Edit("watch_factory(net, optimizer)", 'watch_factory(net, optimizer, frozen=["encoder"])'),
            Edit("lr=2e-3", "lr=5e-3"),
        ),
        fault=(Edit("    for p in encoder.parameters():\n        p.requires_grad_(False)\n", ""),),
        truth=Truth(
            slug="missing-freeze",
            lines=(
                "# keep the pre-trained encoder fixed",
                "net = GlyphModel(encoder, 5)",
            ),
            modules=("encoder",),
            harm="weights",
        ),
    )
