"""WGAN-GP: a critic without bound whose loss is negative, five critic steps to one of the generator."""

import torch
import torch.nn as nn


def gradient_penalty(critic, real, fake, rng):
    alpha = torch.rand(len(real), 1, generator=rng)
    mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    return ((gradient.norm(2, dim=1) - 1) ** 2).mean()


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    generator = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
    critic = nn.Sequential(
        nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
    )
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.9))
    opt_c = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
    watch_g, watch_c = watch_factory(generator, opt_g), watch_factory(critic, opt_c)
    for step in range(120):
        for _ in range(5):
            real = 2 + 0.3 * torch.randn(64, 2, generator=rng)
            fake = generator(torch.randn(64, 4, generator=rng)).detach()
            loss_c = (
                critic(fake).mean() - critic(real).mean() + 10 * gradient_penalty(critic, real, fake, rng)
            )
            opt_c.zero_grad()
            loss_c.backward()
            opt_c.step()
            watch_c.step(loss=loss_c, batch=real)
        loss_g = -critic(generator(torch.randn(64, 4, generator=rng))).mean()
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        watch_g.step(loss=loss_g)
    with torch.no_grad():
        made = generator(torch.randn(256, 4, generator=rng))
    return {"quality": 1 - (made.mean(0) - 2).abs().mean().item() / 2}
