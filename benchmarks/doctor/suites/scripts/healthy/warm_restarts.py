"""SGDR: cosine annealing with warm restarts, at each of which the loss jumps up."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(10, 20, generator=rng)
    model = nn.Sequential(nn.Linear(20, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer, T_0=50, T_mult=2, eta_min=1e-4
    )
    watch = watch_factory(model, optimizer)
    for step in range(350):
        y = torch.randint(10, (64,), generator=rng)
        x = centres[y] + 0.6 * torch.randn(64, 20, generator=rng)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
