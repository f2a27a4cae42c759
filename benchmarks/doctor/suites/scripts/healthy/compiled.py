"""``torch.compile``: the loop calls the compiled model, the optimizer holds the plain one's parameters."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(6, 16, generator=rng)
    net = nn.Sequential(nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 6))
    model = torch.compile(net, backend="eager")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    watch = watch_factory(model, optimizer)
    for step in range(200):
        y = torch.randint(6, (64,), generator=rng)
        x = centres[y] + 0.6 * torch.randn(64, 16, generator=rng)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
