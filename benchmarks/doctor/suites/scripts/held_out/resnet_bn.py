"""A small residual network with batch normalisation tells textures apart."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class BasicBlock(nn.Module):
    def __init__(self, in_planes, planes, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Conv2d(in_planes, planes, 1, stride, bias=False) if stride != 1 else nn.Identity()

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class TinyResNet(nn.Module):
    def __init__(self, num_classes=5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = BasicBlock(8, 8)
        self.layer2 = BasicBlock(8, 16, stride=2)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        return self.fc(x.mean(dim=(2, 3)))


MEAN = torch.tensor([110.0, 120.0, 130.0]).view(3, 1, 1)
STD = torch.tensor([55.0, 50.0, 60.0]).view(3, 1, 1)


def textures(n, g):
    labels = torch.randint(5, (n,), generator=g)
    yy, xx = torch.meshgrid(torch.arange(14.0), torch.arange(14.0), indexing="ij")
    phase = torch.rand(n, 1, 1, generator=g) * 6.28
    kinds = [xx, yy, xx + yy, xx - yy]
    waves = torch.stack(
        [torch.sin(1.1 * k + phase) for k in kinds] + [torch.sin(1.1 * xx + phase) * torch.sin(1.1 * yy)], 1
    )
    picture = waves[torch.arange(n), labels][:, None] * torch.rand(n, 3, 1, 1, generator=g)
    picture = picture * STD + MEAN + 30 * torch.randn(n, 3, 14, 14, generator=g)
    return picture.clamp(0, 255).byte(), labels


def transform(picture):
    return (picture.float() - MEAN) / STD


def evaluate(model, pictures, labels):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(transform(pictures))
        loss = F.cross_entropy(logits, labels).item()
        acc = (logits.argmax(1) == labels).float().mean().item()
    model.train(was_training)
    return loss, acc


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    pictures, labels = textures(900, g)
    x_train, y_train, x_val, y_val = pictures[:700], labels[:700], pictures[700:], labels[700:]
    model = TinyResNet()
    base_lr, epochs, bs = 0.08, 7, 20
    optimizer = torch.optim.SGD(
        model.parameters(), lr=base_lr, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    watch = watch_factory(model, optimizer)
    model.train()
    fresh_val = {}
    for epoch in range(epochs):
        idx = torch.randperm(700, generator=g)
        for i in range(700 // bs):
            sel = idx[i * bs : (i + 1) * bs]
            xb, yb = transform(x_train[sel]), y_train[sel]
            optimizer.zero_grad()
            out = model(xb)
            loss = F.cross_entropy(out, yb)
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(xb, yb), lr=scheduler.get_last_lr()[0], **fresh_val)
            fresh_val = {}
        scheduler.step()
        val_loss, val_acc = evaluate(model, x_val, y_val)
        fresh_val = {"val_loss": val_loss}
    return {"quality": val_acc}
