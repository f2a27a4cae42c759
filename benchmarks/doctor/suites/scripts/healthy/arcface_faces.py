"""ArcFace (Deng et al., 2019): normalised embeddings, an angular margin, judged on other shots of the same people."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class ArcMarginProduct(nn.Module):
    """cos(theta + m) at the true class."""

    def __init__(self, in_features, out_features, s=16.0, m=0.3):
        super().__init__()
        self.s, self.cos_m, self.sin_m = s, math.cos(m), math.sin(m)
        self.th, self.mm = math.cos(math.pi - m), math.sin(math.pi - m) * m
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, embedding, label):
        cosine = F.linear(F.normalize(embedding), F.normalize(self.weight))
        sine = torch.sqrt((1.0 - cosine.pow(2)).clamp(1e-6, 1))
        phi = cosine * self.cos_m - sine * self.sin_m
        phi = torch.where(cosine > self.th, phi, cosine - self.mm)
        one_hot = torch.zeros_like(cosine).scatter_(1, label.view(-1, 1), 1)
        return self.s * (one_hot * phi + (1.0 - one_hot) * cosine)


class FaceNet(nn.Module):
    def __init__(self, dim=24):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.PReLU(16),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.PReLU(32),
            nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.PReLU(32), nn.Flatten(),
        )  # fmt: skip
        self.fc, self.bn = nn.Linear(32 * 9, dim), nn.BatchNorm1d(dim)

    def forward(self, x):
        return self.bn(self.fc(self.conv(x)))


def faces(people, shots, g):
    """A face is a mixture of a few common traits; light, noise and place differ from shot to shot."""
    traits = torch.randn(12, 1, 12, 12, generator=torch.Generator().manual_seed(8))
    traits = F.avg_pool2d(traits, 3, stride=1, padding=1) * 3
    who = torch.randn(people, 12, generator=g)
    y = torch.arange(people).repeat_interleave(shots)
    x = torch.einsum("nk,kchw->nchw", who[y] + 0.15 * torch.randn(len(y), 12, generator=g), traits) / 3
    light = 0.7 + 0.6 * torch.rand(len(y), 1, 1, 1, generator=g)
    return (x * light + 0.2 * torch.randn(x.shape, generator=g)).clamp(-2.5, 2.5), y


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    x, y = faces(80, 24, g)
    held_back = torch.arange(len(x)) % 24 >= 20  # four shots of each
    x, y, x_val, y_val = x[~held_back], y[~held_back], x[held_back], y[held_back]
    backbone, metric_fc = FaceNet(), ArcMarginProduct(24, 80)
    model = nn.ModuleDict({"backbone": backbone, "metric_fc": metric_fc})
    optimizer = torch.optim.SGD(
        [{"params": backbone.parameters()}, {"params": metric_fc.parameters()}],
        lr=0.1, momentum=0.9, weight_decay=5e-4,
    )  # fmt: skip
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [200, 260], gamma=0.1)
    watch = watch_factory(model, optimizer)
    for _ in range(300):
        i = torch.randint(len(x), (64,), generator=g)
        output = metric_fc(backbone(x[i]), y[i])
        loss = F.cross_entropy(output, y[i])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        watch.step(loss=loss, batch=(x[i], y[i]))
    model.eval()
    with torch.no_grad():
        cosine = F.linear(F.normalize(backbone(x_val)), F.normalize(metric_fc.weight))
    return {"quality": (cosine.argmax(1) == y_val).float().mean().item()}
