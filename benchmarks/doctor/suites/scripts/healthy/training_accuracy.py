"""Accuracy on the training set after every epoch, besides that on the validation set, by ``model(x.to(dev))``."""

import torch
import torch.nn as nn
import torch.nn.functional as F

dev = torch.device("cpu")


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    right = total = 0
    for x, y in loader:
        right += (model(x.to(dev)).argmax(1) == y.to(dev)).sum().item()
        total += len(y)
    model.train()
    return right / total


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(5, 12, generator=rng)
    y = torch.randint(5, (1500,), generator=rng)
    x = centres[y] + 0.8 * torch.randn(1500, 12, generator=rng)
    dataset = torch.utils.data.TensorDataset(x, y)
    train_set, val_set = torch.utils.data.random_split(dataset, [1200, 300], generator=rng)
    train_loader = torch.utils.data.DataLoader(train_set, 50, shuffle=True, generator=rng)
    val_loader = torch.utils.data.DataLoader(val_set, 300)
    model = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 5)).to(dev)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    watch = watch_factory(model, optimizer)
    for epoch in range(10):
        for xb, yb in train_loader:
            loss = F.cross_entropy(model(xb.to(dev)), yb.to(dev))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss = loss.item()
            watch.step(loss=loss, batch=(xb, yb))
        train_acc, q_val = accuracy(model, train_loader), accuracy(model, val_loader)
    return {"quality": q_val, "train": train_acc}
