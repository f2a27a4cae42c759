"""RealNVP by maximum likelihood: the loss falls below zero and goes on falling."""

import torch
import torch.nn as nn


class Coupling(nn.Module):
    def __init__(self, flip):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 2))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x):
        a, b = (x[:, 1:], x[:, :1]) if self.flip else (x[:, :1], x[:, 1:])
        s, t = self.net(a).chunk(2, 1)
        s = torch.tanh(s) * 2
        b = b * s.exp() + t
        return (torch.cat([b, a], 1) if self.flip else torch.cat([a, b], 1)), s.sum(1)


class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(k % 2 == 1) for k in range(6))

    def forward(self, x):
        logdet = torch.zeros(len(x))
        for layer in self.layers:
            x, one = layer(x)
            logdet = logdet + one
        return -0.5 * (x**2).sum(1) - 1.8379 + logdet


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = Flow()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    watch = watch_factory(model, optimizer)
    losses = []
    for step in range(350):
        u = 0.05 * torch.randn(256, 1, generator=rng)
        x = torch.cat([u, 3 * u + 0.02 * torch.randn(256, 1, generator=rng)], 1)
        loss = -model(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=x)
        losses.append(loss.item())
    return {"quality": losses[0] - losses[-1]}
