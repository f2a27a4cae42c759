"""A GAN that learns to draw from a shifted, stretched cloud of points."""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce


def cloud(n, g):
    angle = torch.rand(n, generator=g) * 6.2832
    radius = 1 + 0.1 * torch.randn(n, generator=g)
    return torch.stack([1 + 0.8 * radius * angle.cos(), -0.5 + 0.4 * radius * angle.sin()], 1)


def mlp(inputs, outputs):
    return nn.Sequential(
        nn.Linear(inputs, 48), nn.LeakyReLU(0.2), nn.Linear(48, 48), nn.LeakyReLU(0.2), nn.Linear(48, outputs)
    )


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    real_data = cloud(2000, g)
    netG, netD = mlp(4, 2), mlp(2, 1)
    optG = torch.optim.Adam(netG.parameters(), lr=1e-3, betas=(0.5, 0.9))
    optD = torch.optim.Adam(netD.parameters(), lr=4e-3, betas=(0.5, 0.9))
    watch_g = watch_factory(netG, optG)
    watch_d = watch_factory(netD, optD)
    batch_size = 64
    ones, zeros = torch.ones(batch_size, 1), torch.zeros(batch_size, 1)
    for iteration in range(300):
        real = real_data[torch.randint(2000, (batch_size,), generator=g)]
        noise = torch.randn(batch_size, 4, generator=g)
        fake = netG(noise)

        optD.zero_grad()
        loss_d = bce(netD(real), ones * 0.9) + bce(netD(fake.detach()), zeros)
        loss_d.backward()
        optD.step()
        watch_d.step(loss=loss_d, batch=real)

        optG.zero_grad()
        loss_g = bce(netD(fake), ones)
        loss_g.backward()
        optG.step()
        watch_g.step(loss=loss_g, batch=noise)
    with torch.no_grad():
        made = netG(torch.randn(1000, 4, generator=g))
    off = (made.mean(0) - real_data.mean(0)).abs() + (made.std(0) - real_data.std(0)).abs()
    return {"quality": 1 - off.mean().item()}
