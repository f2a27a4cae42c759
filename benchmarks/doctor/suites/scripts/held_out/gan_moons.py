"""Generative adversarial training on two moons."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(3, 32), nn.LeakyReLU(0.2), nn.Linear(32, 2))

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
        )

    def forward(self, x):
        return self.main(x).squeeze(-1)


def moons(n, g):
    t = torch.rand(n, generator=g) * math.pi
    upper = torch.rand(n, generator=g) < 0.5
    x = torch.where(upper, t.cos(), 1 - t.cos())
    y = torch.where(upper, t.sin(), 0.5 - t.sin())
    return torch.stack([x, y], 1) + 0.05 * torch.randn(n, 2, generator=g)


class AdversarialTraining:
    def __init__(self, watch_factory, seed):
        self.g = torch.Generator().manual_seed(seed)
        self.data = moons(1500, self.g)
        self.generator, self.discriminator = Generator(), Discriminator()
        self.opt_g = torch.optim.Adam(self.generator.parameters(), lr=1e-3, betas=(0.5, 0.99))
        self.opt_d = torch.optim.Adam(self.discriminator.parameters(), lr=4e-3, betas=(0.5, 0.99))
        self.watch_g = watch_factory(self.generator, self.opt_g)
        self.watch_d = watch_factory(self.discriminator, self.opt_d)

    def noise(self, n):
        return torch.randn(n, 3, generator=self.g)

    def discriminator_step(self, real):
        with torch.no_grad():
            fake = self.generator(self.noise(len(real)))
        self.opt_d.zero_grad()
        loss = F.softplus(-self.discriminator(real)).mean() + F.softplus(self.discriminator(fake)).mean()
        loss.backward()
        self.opt_d.step()
        self.watch_d.step(loss=loss, batch=real)

    def generator_step(self, n):
        z = self.noise(n)
        self.opt_g.zero_grad()
        loss = F.softplus(-self.discriminator(self.generator(z))).mean()
        loss.backward()
        self.opt_g.step()
        self.watch_g.step(loss=loss, batch=z)

    def run(self, steps):
        for _ in range(steps):
            real = self.data[torch.randint(1500, (64,), generator=self.g)]
            self.discriminator_step(real)
            self.generator_step(64)
        with torch.no_grad():
            made = self.generator(self.noise(1000))
        mean_off = (made.mean(0) - self.data.mean(0)).abs()
        spread_off = (made.std(0) - self.data.std(0)).abs()
        return 1 - (mean_off + spread_off).mean().item()


def train(watch_factory, seed):
    return {"quality": AdversarialTraining(watch_factory, seed).run(300)}
