"""One-cycle: the rate climbs to its peak, and its last third is next to nothing."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(10, 24, generator=rng)
    model = nn.Sequential(nn.Linear(24, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.95, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.4, total_steps=300, three_phase=True, final_div_factor=1e4
    )
    watch = watch_factory(model, optimizer)
    for step in range(300):
        y = torch.randint(10, (64,), generator=rng)
        x = centres[y] + 0.6 * torch.randn(64, 24, generator=rng)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
