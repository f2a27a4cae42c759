"""WGAN-GP (Gulrajani et al., 2017): several critic steps, a gradient penalty, losses that may be negative."""

import math

import torch
import torch.nn as nn
from torch import autograd

DIM, CRITIC_ITERS, LAMBDA, BATCH_SIZE, ITERS = 64, 4, 1.0, 128, 90


def mlp(n_in, n_out):
    return nn.Sequential(
        nn.Linear(n_in, DIM), nn.ReLU(True), nn.Linear(DIM, DIM), nn.ReLU(True), nn.Linear(DIM, n_out)
    )


def eight_gaussians(n, g):
    angle = torch.randint(8, (n,), generator=g) * (math.pi / 4)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(n, 2, generator=g)


def calc_gradient_penalty(netD, real_data, fake_data):
    alpha = torch.rand(len(real_data), 1)
    interpolates = (alpha * real_data + (1 - alpha) * fake_data).requires_grad_(True)
    disc_interpolates = netD(interpolates)
    gradients = autograd.grad(
        outputs=disc_interpolates, inputs=interpolates, grad_outputs=torch.ones_like(disc_interpolates),
        create_graph=True, retain_graph=True, only_inputs=True,
    )[0]  # fmt: skip
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean() * LAMBDA


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    netG, netD = mlp(2, 2), mlp(2, 1)
    optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-3, betas=(0.5, 0.9))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-3, betas=(0.5, 0.9))
    watchD, watchG = watch_factory(netD, optimizerD), watch_factory(netG, optimizerG)
    for _iteration in range(ITERS):
        for p in netD.parameters():  # they are set to False below in netG update
            p.requires_grad = True
        for _ in range(CRITIC_ITERS):
            real_data = eight_gaussians(BATCH_SIZE, g)
            netD.zero_grad()
            fake = netG(torch.randn(BATCH_SIZE, 2, generator=g)).detach()
            gradient_penalty = calc_gradient_penalty(netD, real_data, fake)
            D_cost = netD(fake).mean() - netD(real_data).mean() + gradient_penalty
            D_cost.backward()
            optimizerD.step()
            watchD.step(loss=D_cost, batch=real_data)
        for p in netD.parameters():
            p.requires_grad = False  # to avoid computation
        netG.zero_grad()
        noise = torch.randn(BATCH_SIZE, 2, generator=g)
        G_cost = -netD(netG(noise)).mean()
        G_cost.backward()
        optimizerG.step()
        watchG.step(loss=G_cost, batch=noise)
    with torch.no_grad():
        made, real = netG(torch.randn(1000, 2, generator=g)), eight_gaussians(1000, g)
    distance = (made[:, None] - real[None]).norm(dim=-1)
    spread = (real[:, None] - real[None]).norm(dim=-1).mean()
    own = (made[:, None] - made[None]).norm(dim=-1).mean()
    return {"quality": 1 - (2 * distance.mean() - spread - own).item()}  # 1 less the energy distance
