"""A GAN in one module: two optimizers of its two halves, watched together."""

import torch
import torch.nn as nn


class GAN(nn.Module):
    def __init__(self):
        super().__init__()
        self.G = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
        self.D = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    gan = GAN()
    opt_g = torch.optim.Adam(gan.G.parameters(), lr=1e-3, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(gan.D.parameters(), lr=1e-3, betas=(0.5, 0.999))
    watch = watch_factory(gan, [opt_g, opt_d])
    bce = nn.BCEWithLogitsLoss()
    real_label, fake_label = torch.ones(64, 1), torch.zeros(64, 1)
    for step in range(600):
        angle = 6.2832 * torch.rand(64, generator=rng)
        real = torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(64, 2, generator=rng)
        fake = gan.G(torch.randn(64, 8, generator=rng))
        loss_d = bce(gan.D(real), real_label) + bce(gan.D(fake.detach()), fake_label)
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
        loss_g = bce(gan.D(fake), real_label)
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        watch.step(loss=loss_g, batch=real, terms={"d": loss_d, "g": loss_g})
    with torch.no_grad():
        radius = gan.G(torch.randn(256, 8, generator=rng)).norm(dim=1)
    return {"quality": 1 - (radius - 1).abs().mean().item()}
