"""Monte-Carlo dropout: evaluation in training mode on purpose, twenty passes over the same inputs, averaged."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def predict(model, x, passes=20):
    model.train()
    with torch.no_grad():
        samples = torch.stack([model(x).softmax(-1) for _ in range(passes)])
    return samples.mean(0), samples.std(0)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(4, 10, generator=rng)

    def batch(n):
        y = torch.randint(4, (n,), generator=rng)
        return centres[y] + 0.7 * torch.randn(n, 10, generator=rng), y

    x_val, y_val = batch(300)
    model = nn.Sequential(
        nn.Linear(10, 64),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(64, 4),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    watch = watch_factory(model, optimizer)
    for step in range(240):
        x, y = batch(64)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
        if step % 40 == 39:
            mean, _spread = predict(model, x_val)
    return {"quality": (mean.argmax(1) == y_val).float().mean().item()}
