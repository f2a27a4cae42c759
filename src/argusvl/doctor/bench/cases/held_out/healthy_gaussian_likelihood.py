"""A likelihood that goes below zero."""

from __future__ import annotations

from argusvl.doctor.bench.case import Case, Edit

SEEDS = (211, 212)


def build(seed: int) -> Case:
    return Case(
        script="denoiser",
        seed=seed,
        variant=(
            Edit(
                "self.dec2 = nn.Conv2d(channels, 1, 3, padding=1)",
                "self.dec2 = nn.Conv2d(channels, 2, 3, padding=1)",
            ),
            Edit(
                "            output = model(noisy)\n            loss = F.mse_loss(output, clean)\n",
                "            mean, log_var = model(noisy).chunk(2, dim=1)\n"
                "            loss = F.gaussian_nll_loss(mean, clean, log_var.clamp(-7, 7).exp())\n",
            ),
            Edit("error += (model(noisy) - clean)", "error += (model(noisy)[:, :1] - clean)"),
        ),
        at_least=0.7,
    )
