"""Both factors begin at zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit, Truth

SEEDS = (201, 202)


def build(seed: int) -> Case:
    return Case(
        script="transfer_cnn",
        seed=seed,
        variant=(
            Edit(
                "class GlyphModel(nn.Module):",
                "class LowRank(nn.Module):\n"
                "    def __init__(self, linear, r=4):\n"
                "        super().__init__()\n"
                "        self.linear = linear.requires_grad_(False)\n"
                "        self.down = nn.Linear(linear.in_features, r, bias=False)\n"
                "        self.up = nn.Linear(r, linear.out_features, bias=False)\n"
                "        nn.init.zeros_(self.up.weight)\n"
                "\n"
                "    def forward(self, x):\n"
                "        return self.linear(x) + self.up(self.down(x))\n"
                "\n"
                "\n"
                "class GlyphModel(nn.Module):",
            ),
            Edit(
                "    net = GlyphModel(encoder, 5)\n",
                "    encoder.requires_grad_(False)\n"
                "    encoder.embed = LowRank(encoder.embed)\n"
                "    net = GlyphModel(encoder, 5)\n",
            ),
            Edit(
                "torch.optim.Adam(net.parameters(), lr=2e-3)",
                "torch.optim.Adam((p for p in net.parameters() if p.requires_grad), lr=5e-3)",
            ),
        ),
        fault=(
            Edit(
                "        nn.init.zeros_(self.up.weight)\n",
                "        nn.init.zeros_(self.up.weight)\n        nn.init.zeros_(self.down.weight)\n",
            ),
        ),
        truth=Truth(
            slug="zero-gradient",
            alternatives=("bad-initialisation",),
            lines=(
                "nn.init.zeros_(self.up.weight)",
                "nn.init.zeros_(self.down.weight)",
            ),
            modules=("encoder.embed",),
            harm="weights",
        ),
    )
