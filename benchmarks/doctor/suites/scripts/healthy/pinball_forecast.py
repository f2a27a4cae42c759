"""Quantile forecasts of loads after MQ-RNN (Wen et al., 2017): trained on the past, judged on later windows."""

import math

import torch
import torch.nn as nn

QUANTILES, HISTORY, HORIZON = (0.1, 0.5, 0.9), 48, 12


def load_curves(series, hours, g):
    """A day and a week in each, a level that slowly rises, noise that grows with the level."""
    t = torch.arange(float(hours))
    level = 20 + 60 * torch.rand(series, 1, generator=g)
    day = torch.sin(2 * math.pi * (t / 24 + torch.rand(series, 1, generator=g)))
    week = torch.sin(2 * math.pi * t / 168)
    noise = torch.randn(series, hours, generator=g)
    return level * (1 + 0.4 * day + 0.1 * week + 3e-4 * t + 0.08 * noise)


class WindowDataset(torch.utils.data.Dataset):
    def __init__(self, curves, start, stop, stride):
        self.curves = curves
        self.index = [
            (s, t) for s in range(len(curves)) for t in range(start, stop - HISTORY - HORIZON, stride)
        ]

    def __len__(self):
        return len(self.index)

    def __getitem__(self, i):
        s, t = self.index[i]
        past, future = self.curves[s, t : t + HISTORY], self.curves[s, t + HISTORY : t + HISTORY + HORIZON]
        scale = past.mean()
        return past / scale - 1, future / scale - 1


class MQRNN(nn.Module):
    def __init__(self, hidden=40):
        super().__init__()
        self.encoder = nn.GRU(1, hidden, batch_first=True)
        self.decoder = nn.Sequential(
            nn.Linear(hidden + 24, 64), nn.ReLU(), nn.Linear(64, HORIZON * len(QUANTILES))
        )

    def forward(self, past):
        _, h = self.encoder(past.unsqueeze(-1))
        out = self.decoder(torch.cat([h[-1], past[:, -24:]], 1))
        return out.view(-1, HORIZON, len(QUANTILES))


def pinball_loss(pred, target):
    q = torch.tensor(QUANTILES)
    error = target.unsqueeze(-1) - pred
    return torch.max(q * error, (q - 1) * error).mean()


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    curves = load_curves(16, 24 * 40, g)
    train_set, later = WindowDataset(curves, 0, 24 * 30, 5), WindowDataset(curves, 24 * 30, 24 * 40, 12)
    loader = torch.utils.data.DataLoader(train_set, batch_size=64, shuffle=True, generator=g)
    val_loader = torch.utils.data.DataLoader(later, batch_size=256)
    model = MQRNN()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    watch = watch_factory(model, optimizer)
    for _epoch in range(7):
        model.train()
        for past, future in loader:
            optimizer.zero_grad()
            loss = pinball_loss(model(past), future)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            watch.step(loss=loss, batch=(past, future))
        model.eval()
        with torch.no_grad():
            pairs = [(model(past), future) for past, future in val_loader]
    pred, future = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    skill = 1 - pinball_loss(pred, future) / pinball_loss(torch.zeros_like(pred), future)
    inside = ((future > pred[..., 0]) & (future < pred[..., 2])).float().mean()
    return {"quality": skill.item(), "coverage": inside.item()}
