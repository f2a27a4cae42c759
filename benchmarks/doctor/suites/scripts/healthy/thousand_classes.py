"""1,000 classes at batch 256: of a batch most classes are not there."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(1000, 32, generator=rng)
    model = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 1000))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 120, 0.1)
    watch = watch_factory(model, optimizer)
    for step in range(160):
        y = torch.randint(1000, (256,), generator=rng)
        x = centres[y] + 0.4 * torch.randn(256, 32, generator=rng)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.topk(5, 1).indices == y[:, None]).any(1).float().mean().item()}
