"""DDPM: a network that predicts the noise at a random time step; EMA weights for sampling."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


class Denoiser(nn.Module):
    def __init__(self, T):
        super().__init__()
        self.time = nn.Embedding(T, 32)
        self.net = nn.Sequential(
            nn.Linear(2 + 32, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2)
        )

    def forward(self, x, t):
        return self.net(torch.cat([x, self.time(t)], 1))


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    T = 100
    betas = torch.linspace(1e-4, 0.08, T)
    alphas_bar = torch.cumprod(1 - betas, 0)
    model = Denoiser(T)
    ema = copy.deepcopy(model).eval().requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    losses = []
    for step in range(400):
        angle = 6.2832 * torch.rand(256, generator=rng)
        x0 = torch.stack([angle.cos(), angle.sin()], 1)
        t = torch.randint(0, T, (256,), generator=rng)
        noise = torch.randn(256, 2, generator=rng)
        a = alphas_bar[t, None]
        xt = a.sqrt() * x0 + (1 - a).sqrt() * noise
        loss = F.mse_loss(model(xt, t), noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(ema.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 0.01)
        watch.step(loss=loss, batch=(xt, t, noise))
        losses.append(loss.item())
    return {"quality": 1 - sum(losses[-30:]) / 30}
