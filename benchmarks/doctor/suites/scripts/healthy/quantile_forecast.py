"""A quantile forecast (pinball loss) of a series with a trend, validated on the time after the training window."""

import torch
import torch.nn as nn


def pinball(pred, target, quantiles):
    error = target[:, None] - pred
    return torch.maximum(quantiles * error, (quantiles - 1) * error).mean()


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    t = torch.arange(1200.0)
    series = 0.004 * t + torch.sin(t / 8) + 0.1 * torch.randn(1200, generator=rng)
    windows = series.unfold(0, 25, 1)
    x, y = windows[:, :24], windows[:, 24]
    x_train, y_train, x_val, y_val = x[:800], y[:800], x[900:], y[900:]
    quantiles = torch.tensor([0.1, 0.5, 0.9])
    model = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    watch = watch_factory(model, optimizer)
    for epoch in range(25):
        for index in torch.randperm(800, generator=rng).split(64):
            loss = pinball(model(x_train[index]), y_train[index], quantiles)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(x_train[index], y_train[index]))
        model.eval()
        with torch.no_grad():
            val = pinball(model(x_val), y_val, quantiles).item()
        model.train()
    return {"quality": 1 - val}
