"""Fine-tune a pre-trained backbone on a small second task."""

import torch
import torch.nn as nn


class Backbone(nn.Module):
    def __init__(self, dim=48):
        super().__init__()
        self.stem = nn.Linear(16, dim)
        self.layer1 = nn.Linear(dim, dim)
        self.layer2 = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = x + torch.relu(self.layer1(x))
        x = x + torch.relu(self.layer2(x))
        return self.norm(x)


class Classifier(nn.Module):
    def __init__(self, backbone, classes):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(48, classes)

    def forward(self, x):
        return self.head(self.backbone(x))


def prototypes(classes, g):
    return torch.randn(classes, 16, generator=g) * 1.3


def sample(protos, n, g):
    y = torch.randint(len(protos), (n,), generator=g)
    return protos[y] + torch.randn(n, 16, generator=g) * 0.8, y


def pretrain(model, protos, g):
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        x, y = sample(protos, 64, g)
        loss = nn.functional.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    return model.backbone


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    protos = prototypes(24, g)
    backbone = pretrain(Classifier(Backbone(), 16), protos[:16], g)

    model = Classifier(backbone, 8)
    params = list(model.parameters())
    optimizer = torch.optim.AdamW(params, lr=1e-3, weight_decay=1e-2)
    criterion = nn.CrossEntropyLoss()
    watch = watch_factory(model, optimizer)

    x_train, y_train = sample(protos[16:], 640, g)
    x_test, y_test = sample(protos[16:], 400, g)
    num_epochs, batch_size = 12, 32
    for epoch in range(num_epochs):
        model.train()
        perm = torch.randperm(len(x_train), generator=g)
        for i in range(0, len(perm), batch_size):
            idx = perm[i : i + batch_size]
            data, target = x_train[idx], y_train[idx]
            output = model(data)
            loss = criterion(output, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(data, target))
    model.eval()
    with torch.no_grad():
        accuracy = (model(x_test).argmax(dim=1) == y_test).float().mean()
    return {"quality": accuracy.item()}
