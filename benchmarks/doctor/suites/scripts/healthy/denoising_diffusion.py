"""DDPM (Ho et al., 2020) of points on a Swiss roll: predicts the noise, samples by the moving average."""

import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

T = 60


class SinusoidalPosEmb(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, t):
        half = self.dim // 2
        freqs = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        emb = t[:, None] * freqs[None, :]
        return torch.cat((emb.sin(), emb.cos()), dim=-1)


class Denoiser(nn.Module):
    def __init__(self, hidden=128, time_dim=32):
        super().__init__()
        self.time_mlp = nn.Sequential(
            SinusoidalPosEmb(time_dim), nn.Linear(time_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden)
        )
        self.inp = nn.Linear(2, hidden)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
            for _ in range(2)
        )
        self.out = nn.Linear(hidden, 2)

    def forward(self, x, t):
        h, temb = self.inp(x), self.time_mlp(t)
        for block in self.blocks:
            h = h + block(h + temb)
        return self.out(F.silu(h))


class GaussianDiffusion(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        betas = torch.linspace(1e-3, 0.15, T)
        self.register_buffer("betas", betas)
        self.register_buffer("alphas_cumprod", torch.cumprod(1 - betas, dim=0))

    def q_sample(self, x_start, t, noise):
        a = self.alphas_cumprod[t][:, None]
        return a.sqrt() * x_start + (1 - a).sqrt() * noise

    def forward(self, x_start):
        t = torch.randint(0, T, (len(x_start),))
        noise = torch.randn_like(x_start)
        return F.mse_loss(self.model(self.q_sample(x_start, t, noise), t), noise)

    @torch.no_grad()
    def sample(self, n):
        img = torch.randn(n, 2)
        for i in reversed(range(T)):
            beta, a = self.betas[i], self.alphas_cumprod[i]
            eps = self.model(img, torch.full((n,), i))
            img = (img - beta / (1 - a).sqrt() * eps) / (1 - beta).sqrt()
            if i > 0:
                img = img + beta.sqrt() * torch.randn_like(img)
        return img


def swiss_roll(n, g):
    t = 1.5 * math.pi * (1 + torch.rand(n, generator=g))
    return torch.stack([t * t.cos(), t * t.sin()], 1) / 5 + 0.02 * torch.randn(n, 2, generator=g)


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    data = swiss_roll(4000, g)
    diffusion = GaussianDiffusion(Denoiser())
    ema_model = copy.deepcopy(diffusion)
    opt = torch.optim.Adam(diffusion.parameters(), lr=2e-3, betas=(0.9, 0.99))
    watch = watch_factory(diffusion, opt)
    for _ in range(400):
        x = data[torch.randint(len(data), (256,), generator=g)]
        loss = diffusion(x)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        opt.step()
        with torch.no_grad():
            for ma, current in zip(ema_model.parameters(), diffusion.parameters(), strict=True):
                ma.lerp_(current, 0.02)
        watch.step(loss=loss, batch=x)
    made = ema_model.sample(500)
    # The share of points that are near the roll; of points from the prior it is a third.
    return {"quality": (torch.cdist(made, data).min(1).values < 0.08).float().mean().item()}
