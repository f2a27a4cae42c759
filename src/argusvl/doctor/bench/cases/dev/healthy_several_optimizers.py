"""Each tower has an optimizer of its own."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="two_tower",
        seed=seed,
        variant=(
            Edit(
                "    optimizer = torch.optim.AdamW(\n"
                "        [\n"
                '            {"params": model.vision.parameters(), "lr": 3e-3},\n'
                '            {"params": model.text.parameters(), "lr": 3e-3},\n'
                '            {"params": model.fuse.parameters(), "lr": 3e-3},\n'
                "        ],\n"
                "        weight_decay=1e-4,\n"
                "    )\n"
                "    watch = watch_factory(model, optimizer)\n",
                "    opt_vision = torch.optim.AdamW(model.vision.parameters(), lr=3e-3)\n"
                "    opt_rest = torch.optim.Adam([*model.text.parameters(), *model.fuse.parameters()], lr=3"
                "e-3)\n"
                "    watch = watch_factory(model, [opt_vision, opt_rest])\n",
            ),
            Edit(
                "        optimizer.zero_grad()\n",
                "        opt_vision.zero_grad()\n        opt_rest.zero_grad()\n",
            ),
            Edit("        optimizer.step()\n", "        opt_vision.step()\n        opt_rest.step()\n"),
        ),
        at_least=0.9,
    )
