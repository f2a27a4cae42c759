"""Deep ensembles (Lakshminarayanan et al., 2017) whose dropout stays on in evaluation; Gaussian heads, a watch each."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class GaussianMLP(nn.Module):
    """Mean and variance of what was seen."""

    def __init__(self, inputs=1, hidden=64):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(0.05), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.head = nn.Linear(hidden, 2)

    def forward(self, x):
        mean, raw = self.head(self.body(x)).unbind(-1)
        return mean, F.softplus(raw) + 1e-3


def nll_criterion(mean, variance, target):
    return (0.5 * variance.log() + 0.5 * (target - mean) ** 2 / variance).mean()


def measure(n, g):
    """A curve whose noise grows to the right, and nothing known between."""
    x = torch.rand(n, generator=g) * 2 - 1
    x = torch.where(x.abs() < 0.15, x + 0.3 * x.sign(), x)
    noise = 0.03 + 0.15 * (x + 1) / 2
    return x[:, None] * 2, torch.sin(4 * x) + noise * torch.randn(n, generator=g), noise


def predict(ensemble, x, passes=8):
    """Mean and standard deviation of the mixture; dropout draws anew in each pass."""
    for model in ensemble:
        model.train()
    with torch.no_grad():
        means, variances = zip(*(model(x) for model in ensemble for _ in range(passes)), strict=True)
    means, variances = torch.stack(means), torch.stack(variances)
    mean = means.mean(0)
    return mean, ((variances + means**2).mean(0) - mean**2).clamp(min=1e-6).sqrt()


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    x, y, _ = measure(1200, g)
    x_val, y_val, noise = measure(400, g)
    ensemble = []
    for _member in range(3):
        model = GaussianMLP()
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        watch = watch_factory(model, optimizer)
        for step in range(250):
            i = torch.randint(len(x), (64,), generator=g)
            optimizer.zero_grad()
            loss = nll_criterion(*model(x[i]), y[i])
            loss.backward()
            optimizer.step()
            if step % 50 == 49:
                mean, std = predict([*ensemble, model], x_val)
                val_loss = nll_criterion(mean, std**2, y_val)
                watch.step(loss=loss, batch=(x[i], y[i]), val_loss=val_loss)
            else:
                watch.step(loss=loss, batch=(x[i], y[i]))
        ensemble.append(model)
    mean, _std = predict(ensemble, x_val)
    return {"quality": 1 - ((mean - y_val).var() / y_val.var()).item(), "noise": (noise**2).mean().item()}
