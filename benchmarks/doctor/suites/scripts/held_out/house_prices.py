"""Prices of houses from rooms, area, age and place; a plain script in one function."""

import torch
import torch.nn as nn


def houses(n, g):
    rooms = torch.randint(1, 8, (n,), generator=g).float()
    area = rooms * 22 + 40 * torch.rand(n, generator=g)
    age = 80 * torch.rand(n, generator=g)
    north, east = torch.rand(n, generator=g), torch.rand(n, generator=g)
    centre = torch.exp(-8 * ((north - 0.5) ** 2 + (east - 0.5) ** 2))
    price = 40 + 1.1 * area + 6 * rooms + 180 * centre - 0.6 * age + 5 * torch.randn(n, generator=g)
    return torch.stack([rooms, area, age, north, east], dim=1), price


class Net(nn.Module):
    def __init__(self, features=5):
        super().__init__()
        self.l1 = nn.Linear(features, 48)
        self.l2 = nn.Linear(48, 48)
        self.l3 = nn.Linear(48, 24)
        self.l4 = nn.Linear(24, 1)

    def forward(self, x):
        x = torch.relu(self.l1(x))
        x = torch.relu(self.l2(x))
        x = torch.relu(self.l3(x))
        return self.l4(x)


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    X, y = houses(1300, g)
    X_train, X_valid, y_train, y_valid = X[:1000], X[1000:], y[:1000], y[1000:]
    mu, sigma = X_train.mean(0), X_train.std(0)
    X_train, X_valid = (X_train - mu) / sigma, (X_valid - mu) / sigma
    y_mu, y_sigma = y_train.mean(), y_train.std()
    y_train = ((y_train - y_mu) / y_sigma).unsqueeze(1)
    y_valid = ((y_valid - y_mu) / y_sigma).unsqueeze(1)

    net = Net()
    opt = torch.optim.RMSprop(net.parameters(), lr=2e-3)
    mse = nn.MSELoss()
    watch = watch_factory(net, opt)

    for epoch in range(10):
        shuffled = torch.randperm(len(X_train), generator=g)
        epoch_loss = 0.0
        for start in range(0, len(X_train), 40):
            rows = shuffled[start : start + 40]
            features, target = X_train[rows], y_train[rows]
            prediction = net(features)
            loss = mse(prediction, target)
            net.zero_grad()
            loss.backward()
            opt.step()
            epoch_loss += loss.item()
            watch.step(loss=loss, batch={"features": features, "target": target})
        with torch.no_grad():
            valid_loss = mse(net(X_valid), y_valid).item()
    return {"quality": 1 - valid_loss / y_valid.var().item()}
