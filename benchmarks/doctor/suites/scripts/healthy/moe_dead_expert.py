"""A sparse mixture of experts (top 1), one of whose experts nobody ever asks."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class MoE(nn.Module):
    def __init__(self, dim=32, experts=6):
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        with torch.no_grad():
            self.gate.bias[-1] = -8.0  # as a router ends that has lost one
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 64), nn.ReLU(), nn.Linear(64, dim)) for _ in range(experts)
        )

    def forward(self, x):
        weights, chosen = self.gate(x).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows = (chosen == number).nonzero().squeeze(1)
            if len(rows):
                out[rows] = weights[rows, None] * expert(x[rows])
        return x + out


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = 1.5 * torch.randn(12, 16, generator=rng)
    model = nn.Sequential(nn.Linear(16, 32), MoE(), nn.LayerNorm(32), nn.Linear(32, 12))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    for step in range(250):
        y = torch.randint(12, (128,), generator=rng)
        x = centres[y] + torch.randn(128, 16, generator=rng)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
