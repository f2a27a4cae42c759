"""Steps with an overflow are skipped, as a gradient scaler does."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="house_prices",
        seed=seed,
        variant=(
            Edit(
                "    mse = nn.MSELoss()\n",
                "    mse = nn.MSELoss()\n"
                '    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=40)\n',
            ),
            Edit(
                "            loss.backward()\n            opt.step()\n",
                "            scaler.scale(loss).backward()\n"
                "            scaler.step(opt)\n"
                "            scaler.update()\n",
            ),
        ),
        at_least=0.8,
    )
