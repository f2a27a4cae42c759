"""Classify points of six blobs with an MLP."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class MLP(nn.Module):
    def __init__(self, num_features, num_classes, hidden=64):
        super().__init__()
        self.fc1 = nn.Linear(num_features, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(hidden, num_classes)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = self.drop(F.relu(self.fc2(x)))
        return self.head(x)


def make_blobs(n, num_classes, generator):
    centers = torch.randn(num_classes, 10, generator=generator) * 1.6
    labels = torch.randint(num_classes, (n,), generator=generator)
    points = centers[labels] + torch.randn(n, 10, generator=generator)
    return points, labels


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        predictions = model(x).argmax(1)
    model.train()
    return (predictions == y).float().mean().item()


def train(watch_factory, seed):
    generator = torch.Generator().manual_seed(seed)
    points, labels = make_blobs(1600, 6, generator)
    x_train, y_train = points[:1200], labels[:1200]
    x_val, y_val = points[1200:], labels[1200:]

    model = MLP(10, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    watch = watch_factory(model, optimizer)

    val_acc = 0.0
    for epoch in range(8):
        order = torch.randperm(len(x_train), generator=generator)
        for start in range(0, len(order), 32):
            index = order[start : start + 32]
            x, y = x_train[index], y_train[index]
            optimizer.zero_grad()
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(x, y))
        val_acc = accuracy(model, x_val, y_val)
    return {"quality": val_acc}
