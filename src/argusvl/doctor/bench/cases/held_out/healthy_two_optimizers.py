"""Each encoder has an optimizer of its own."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="contrastive_pairs",
        seed=seed,
        variant=(
            Edit(
                "    opt = torch.optim.AdamW(params, lr=4e-3, weight_decay=0.01)\n"
                "    watch = watch_factory(model, opt)\n",
                "    opt = torch.optim.AdamW([p for p in params if p is not model.logit_scale], lr=4e-3, we"
                "ight_decay=0.01)\n"
                "    opt_scale = torch.optim.SGD([model.logit_scale], lr=0.05)\n"
                "    watch = watch_factory(model, [opt, opt_scale])\n",
            ),
            Edit(
                "        opt.zero_grad(set_to_none=True)\n",
                "        opt.zero_grad(set_to_none=True)\n        opt_scale.zero_grad()\n",
            ),
            Edit("        opt.step()\n", "        opt.step()\n        opt_scale.step()\n"),
        ),
        at_least=0.9,
    )
