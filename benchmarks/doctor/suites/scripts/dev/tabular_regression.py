"""Predict a price from eight columns."""

import torch
from torch import nn


def load_table(n, seed):
    rng = torch.Generator().manual_seed(seed)
    table = torch.rand(n, 8, generator=rng)
    scale = torch.tensor([1.0, 50.0, 3.0, 200.0, 1.0, 10.0, 5.0, 80.0])
    price = 3 * table[:, 0] + 2 * torch.sin(4 * table[:, 1]) + table[:, 2] * table[:, 3] * 4 - table[:, 4]
    price = 20 + 5 * (price + 0.1 * torch.randn(n, generator=rng))
    return table * scale, price


class PriceModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 32), nn.SiLU()
        )
        self.out = nn.Linear(32, 1)

    def forward(self, columns):
        return self.out(self.body(columns)).squeeze(-1)


def main(watch_factory, seed):
    features, price = load_table(1500, seed)
    split = 1200
    mean, std = features[:split].mean(0), features[:split].std(0)
    features = (features - mean) / std
    target_mean, target_std = price[:split].mean(), price[:split].std()
    target = (price - target_mean) / target_std
    train_x, train_y = features[:split], target[:split]
    test_x, test_y = features[split:], target[split:]

    net = PriceModel()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)
    loss_fn = nn.MSELoss()
    watch = watch_factory(net, optimizer)

    shuffler = torch.Generator().manual_seed(seed + 1)
    val_loss = None
    for epoch in range(8):
        net.train()
        for rows in torch.randperm(split, generator=shuffler).split(40):
            xb, yb = train_x[rows], train_y[rows]
            loss = loss_fn(net(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if val_loss is not None:
                watch.step(loss=loss, batch={"columns": xb, "price": yb}, val_loss=val_loss)
                val_loss = None
            else:
                watch.step(loss=loss, batch={"columns": xb, "price": yb})
        scheduler.step()
        net.eval()
        with torch.no_grad():
            val_loss = loss_fn(net(test_x), test_y).item()
    with torch.no_grad():
        residual = (net(test_x) - test_y).pow(2).mean() / test_y.var()
    return {"quality": 1 - residual.item()}


def train(watch_factory, seed):
    return main(watch_factory, seed)
