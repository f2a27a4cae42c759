"""Two tasks whose losses are weighted a hundred to one on purpose: one is in metres, the other in classes."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class MultiTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.depth, self.label = nn.Linear(64, 1), nn.Linear(64, 5)

    def forward(self, x):
        h = self.trunk(x)
        return {"depth": self.depth(h), "label": self.label(h)}


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    weight, centres = torch.randn(16, 1, generator=rng) / 4, torch.randn(5, 16, generator=rng)
    model = MultiTask()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    for step in range(300):
        y = torch.randint(5, (64,), generator=rng)
        x = centres[y] + torch.randn(64, 16, generator=rng)
        d = 0.1 * x @ weight
        out = model(x)
        terms = {"depth": 100 * F.mse_loss(out["depth"], d), "label": F.cross_entropy(out["label"], y)}
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x, d, y), terms=terms)
    return {"quality": (out["label"].argmax(1) == y).float().mean().item()}
