"""A neural ODE (Chen et al., 2018) fitted to a spiral, as torchdiffeq's demo: one small net, called many times."""

from itertools import pairwise

import torch
import torch.nn as nn

data_size, batch_time, batch_size, niters = 400, 8, 24, 250
true_A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])


class Lambda(nn.Module):
    def forward(self, t, y):
        return torch.mm(y**3, true_A)


class ODEFunc(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2))
        for m in self.net.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0, std=0.1)
                nn.init.constant_(m.bias, val=0)

    def forward(self, t, y):
        return self.net(y**3)


def odeint(func, y0, t):
    """The classic Runge-Kutta of fourth order, at the times that are asked for."""
    ys = [y0]
    for t0, t1 in pairwise(t):
        h, y = t1 - t0, ys[-1]
        k1 = func(t0, y)
        k2 = func(t0 + h / 2, y + h / 2 * k1)
        k3 = func(t0 + h / 2, y + h / 2 * k2)
        k4 = func(t1, y + h * k3)
        ys.append(y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return torch.stack(ys)


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    true_y0, t = torch.tensor([[2.0, 0.0]]), torch.linspace(0.0, 10.0, data_size)
    with torch.no_grad():
        true_y = odeint(Lambda(), true_y0, t)

    def get_batch():
        s = torch.randperm(data_size - batch_time, generator=g)[:batch_size]
        batch_y = torch.stack([true_y[s + i] for i in range(batch_time)], dim=0)  # (T, M, 1, D)
        return true_y[s].squeeze(1), t[:batch_time], batch_y.squeeze(2)

    func = ODEFunc()
    optimizer = torch.optim.RMSprop(func.parameters(), lr=2e-3)
    watch = watch_factory(func, optimizer)
    for _itr in range(1, niters + 1):
        optimizer.zero_grad()
        batch_y0, batch_t, batch_y = get_batch()
        pred_y = odeint(func, batch_y0, batch_t)
        loss = torch.mean(torch.abs(pred_y - batch_y))
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(batch_y0, batch_t, batch_y))
    with torch.no_grad():
        pred_y = odeint(func, true_y[:100:20].squeeze(1), t[:80])
        wanted = torch.stack([true_y[i : i + 80].squeeze(1) for i in range(0, 100, 20)], 1)
    return {"quality": 1 - ((pred_y - wanted).abs().mean() / wanted.abs().mean()).item()}
