"""Tell drawn shapes apart with a small CNN."""

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

SIZE = 20


def draw(kind, cx, cy, r):
    ys, xs = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    dx, dy = (xs - cx).abs(), (ys - cy).abs()
    if kind == 0:
        return dx**2 + dy**2 <= r**2
    if kind == 1:
        return torch.maximum(dx, dy) <= r
    if kind == 2:
        return (dx <= 1) & (dy <= r) | (dy <= 1) & (dx <= r)
    return (dx + dy <= r + 1) & (dx + dy >= r - 1)


def make_dataset(n, gen):
    images, labels = [], []
    for _ in range(n):
        kind = int(torch.randint(4, (1,), generator=gen))
        cx, cy = (torch.rand(2, generator=gen) * 8 + 6).tolist()
        r = float(torch.rand(1, generator=gen)) * 2.5 + 3
        mask = draw(kind, cx, cy, r).float()
        image = 70 + 110 * mask + 12 * torch.randn(SIZE, SIZE, generator=gen)
        images.append(image.clamp(0, 255).to(torch.uint8))
        labels.append(kind)
    return torch.stack(images).unsqueeze(1), torch.tensor(labels)


def build_net():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24 * 25, 48),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(48, 4),
    )


class Trainer:
    def __init__(self, net, lr=2e-3):
        self.net = net
        self.criterion = nn.CrossEntropyLoss()
        self.opt = optim.Adam(net.parameters(), lr=lr)

    def normalize(self, images):
        return (images.float() / 255.0 - 0.3) / 0.25

    def fit(self, loader, val_loader, watch, epochs):
        history = []
        for epoch in range(epochs):
            self.net.train()
            for images, labels in loader:
                inputs = self.normalize(images)
                outputs = self.net(inputs)
                loss = self.criterion(outputs, labels)
                self.opt.zero_grad(set_to_none=True)
                loss.backward()
                self.opt.step()
                watch.step(loss=loss, batch=(inputs, labels))
            history.append(self.evaluate(val_loader))
        return history

    @torch.no_grad()
    def evaluate(self, loader):
        self.net.eval()
        correct = total = 0
        for images, labels in loader:
            inputs = self.normalize(images)
            correct += (self.net(inputs).argmax(-1) == labels).sum().item()
            total += len(labels)
        return correct / total


def train(watch_factory, seed):
    gen = torch.Generator().manual_seed(seed)
    images, labels = make_dataset(1000, gen)
    train_set = TensorDataset(images[:800], labels[:800])
    val_set = TensorDataset(images[800:], labels[800:])
    loader = DataLoader(train_set, batch_size=24, shuffle=True, generator=gen)
    val_loader = DataLoader(val_set, batch_size=100)

    trainer = Trainer(build_net())
    watch = watch_factory(trainer.net, trainer.opt)
    history = trainer.fit(loader, val_loader, watch, epochs=7)
    return {"quality": history[-1]}
