"""SimCLR (Chen et al., 2020) after sthalles/SimCLR: cosine similarities, positives first, labels that are zero."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class ContrastiveLearningViewGenerator:
    """Take two random crops of one image, each with a gain and noise of its own."""

    def __init__(self, generator, n_views=2):
        self.generator, self.n_views = generator, n_views

    def __call__(self, x):
        g, views = self.generator, []
        for _ in range(self.n_views):
            r, c = torch.randint(0, 5, (2,), generator=g).tolist()
            view = x[:, :, r : r + 12, c : c + 12]
            view = torch.where(torch.rand(len(x), 1, 1, 1, generator=g) < 0.5, view.flip(3), view)
            views.append(
                view * (0.5 + torch.rand(len(x), 1, 1, 1, generator=g)) + 0.1 * torch.randn(view.shape)
            )
        return views


class ResNetSimCLR(nn.Module):
    def __init__(self, out_dim=32):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(16), nn.BatchNorm2d(32)
        self.fc = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, out_dim))

    def features(self, x):
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return x.mean((2, 3))

    def forward(self, x):
        return self.fc(self.features(x))


class SimCLR:
    def __init__(self, model, optimizer, scheduler, temperature=0.1):
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.temperature = temperature
        self.criterion = nn.CrossEntropyLoss()

    def info_nce_loss(self, features, batch_size):
        labels = torch.cat([torch.arange(batch_size) for _ in range(2)], dim=0)
        labels = labels.unsqueeze(0) == labels.unsqueeze(1)
        features = F.normalize(features, dim=1)
        similarity_matrix = torch.matmul(features, features.T)
        # discard the main diagonal from both: labels and similarities matrix
        mask = torch.eye(labels.shape[0], dtype=torch.bool)
        labels = labels[~mask].view(labels.shape[0], -1)
        similarity_matrix = similarity_matrix[~mask].view(similarity_matrix.shape[0], -1)
        positives = similarity_matrix[labels].view(labels.shape[0], -1)
        negatives = similarity_matrix[~labels].view(similarity_matrix.shape[0], -1)
        logits = torch.cat([positives, negatives], dim=1)
        return logits / self.temperature, torch.zeros(logits.shape[0], dtype=torch.long)

    def train(self, images, views, watch, epochs, batch_size, g):
        for _ in range(epochs):
            for pick in torch.randperm(len(images), generator=g).split(batch_size):
                batch = torch.cat(views(images[pick]), dim=0)
                logits, labels = self.info_nce_loss(self.model(batch), len(pick))
                loss = self.criterion(logits, labels)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                watch.step(loss=loss, batch=batch)
            self.scheduler.step()


def textures(n, g):
    """Eight woven textures: a colour for the warp and one for the weft."""
    colours = torch.rand(8, 2, 3, generator=torch.Generator().manual_seed(11))
    y = torch.randint(8, (n,), generator=g)
    grid = (torch.arange(16)[:, None] // 2 + torch.arange(16)[None] // (1 + y[:, None, None] % 3)) % 2
    x = torch.where(grid[:, None] == 0, colours[y, 0][:, :, None, None], colours[y, 1][:, :, None, None])
    return x + 0.05 * torch.randn(n, 3, 16, 16, generator=g), y


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    images, _ = textures(1280, g)
    model = ResNetSimCLR()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    watch = watch_factory(model, optimizer)
    simclr = SimCLR(model, optimizer, scheduler)
    views = ContrastiveLearningViewGenerator(g)
    simclr.train(images, views, watch, epochs=10, batch_size=64, g=g)
    held_back, _ = textures(64, g)
    model.eval()
    with torch.no_grad():
        loss = simclr.criterion(*simclr.info_nce_loss(model(torch.cat(views(held_back))), 64))
    return {"quality": 1 - loss.item() / math.log(127)}
