"""SimCLR: NT-Xent over two views, the diagonal masked out with a very negative number."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def info_nce(features, temperature=0.2):
    n = len(features) // 2
    labels = torch.cat([torch.arange(n), torch.arange(n)])
    same = labels[None] == labels[:, None]
    features = F.normalize(features, dim=1)
    similarity = features @ features.T
    mask = torch.eye(2 * n, dtype=torch.bool)
    same, similarity = same[~mask].view(2 * n, -1), similarity[~mask].view(2 * n, -1)
    logits = torch.cat([similarity[same].view(2 * n, -1), similarity[~same].view(2 * n, -1)], 1) / temperature
    return logits, torch.zeros(2 * n, dtype=torch.long)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(24, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
    watch = watch_factory(model, optimizer)
    for step in range(250):
        x = torch.randn(64, 24, generator=rng)
        images = torch.cat([x + 0.2 * torch.randn(64, 24, generator=rng) for _ in range(2)])
        logits, labels = info_nce(model(images))
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=images)
    return {"quality": (logits.argmax(1) == 0).float().mean().item()}
