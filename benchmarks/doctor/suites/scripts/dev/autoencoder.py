"""Compress wave snippets to four numbers and restore them."""

import torch
import torch.nn.functional as F
from torch import nn


class AutoEncoder(nn.Module):
    def __init__(self, length=40, code=4):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(length, 64), nn.Tanh(), nn.Linear(64, code))
        self.decoder = nn.Sequential(nn.Linear(code, 64), nn.Tanh(), nn.Linear(64, length))

    def forward(self, wave):
        return self.decoder(self.encoder(wave))


def waves(n, gen):
    t = torch.linspace(0, 6.28, 40)
    amplitude = torch.rand(n, 1, generator=gen) + 0.5
    phase = torch.rand(n, 1, generator=gen) * 6.28
    offset = torch.randn(n, 1, generator=gen) * 0.5
    clean = amplitude * torch.sin(t + phase) + offset
    return clean + 0.05 * torch.randn(n, 40, generator=gen)


def train(watch_factory, seed):
    gen = torch.Generator().manual_seed(seed)
    data = waves(1100, gen)
    train_waves, held = data[:900], data[900:]
    ae = AutoEncoder()
    opt = torch.optim.Adam(ae.parameters(), lr=4e-3)
    watch = watch_factory(ae, opt)
    step, total = 0, 260
    while step < total:
        wave = train_waves[torch.randint(len(train_waves), (32,), generator=gen)]
        opt.zero_grad()
        restored = ae(wave)
        loss = F.mse_loss(restored, wave)
        loss.backward()
        opt.step()
        watch.step(loss=loss, batch=wave)
        step += 1
    ae.eval()
    with torch.no_grad():
        error = F.mse_loss(ae(held), held) / held.var()
    return {"quality": 1 - error.item()}
