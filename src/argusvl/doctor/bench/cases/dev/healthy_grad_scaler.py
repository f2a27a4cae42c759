"""A gradient scaler that skips its first steps."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (31,)


def build(seed: int) -> Case:
    return Case(
        script="tabular_regression",
        seed=seed,
        variant=(
            Edit(
                "    loss_fn = nn.MSELoss()\n",
                "    loss_fn = nn.MSELoss()\n"
                '    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=50)\n',
            ),
            Edit(
                "            loss.backward()\n"
                "            optimizer.step()\n"
                "            optimizer.zero_grad()\n",
                "            scaler.scale(loss).backward()\n"
                "            scaler.step(optimizer)\n"
                "            scaler.update()\n"
                "            optimizer.zero_grad()\n",
            ),
        ),
        at_least=0.9,
    )
