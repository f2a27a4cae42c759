"""One object in a picture: its box and what it is."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Detector(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 24, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.neck = nn.Linear(24 * 16, 64)
        self.class_head = nn.Linear(64, num_classes)
        self.box_head = nn.Linear(64, 4)

    def forward(self, image):
        h = F.relu(self.neck(self.backbone(image)))
        return self.class_head(h), self.box_head(h).sigmoid()


def scenes(n, g):
    """Images [n, 1, 16, 16] of 0..255, boxes [n, 4] as (x1, y1, x2, y2) / 16, labels [n]."""
    size = torch.randint(5, 10, (n, 2), generator=g)
    corner = (torch.rand(n, 2, generator=g) * (16 - size)).long()
    label = torch.randint(3, (n,), generator=g)
    images = 60 + 15 * torch.randn(n, 1, 16, 16, generator=g)
    for i in range(n):
        (x, y), (w, h) = corner[i].tolist(), size[i].tolist()
        patch = images[i, 0, y : y + h, x : x + w]
        if label[i] == 0:
            patch += 120
        elif label[i] == 1:
            patch[::2] += 150
        else:
            patch[:, ::2] += 150
    boxes = torch.cat([corner, corner + size], 1) / 16
    return images.clamp(0, 255), boxes, label


def preprocess(images):
    return (images - 90) / 60


def iou(a, b):
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    area = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    return both / (area - both)


def score(detector, images, boxes, labels):
    """Mean overlap, where the class is right."""
    detector.eval()
    with torch.no_grad():
        logits, predicted = detector(preprocess(images))
    detector.train()
    return (iou(predicted, boxes) * (logits.argmax(1) == labels)).mean().item()


def random_flip(images, boxes, g):
    if torch.rand(1, generator=g) < 0.5:
        images = images.flip(-1)
        boxes = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)
    return images, boxes


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    images, boxes, labels = scenes(1000, g)
    val = (images[800:], boxes[800:], labels[800:])
    images, boxes, labels = images[:800], boxes[:800], labels[:800]
    detector = Detector()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[5], gamma=0.3)
    watch = watch_factory(detector, optimizer)
    for epoch in range(7):
        perm = torch.randperm(800, generator=g)
        for sel in perm.split(20):
            img, box = random_flip(images[sel], boxes[sel], g)
            img, cls = preprocess(img), labels[sel]
            logits, predicted = detector(img)
            class_loss = F.cross_entropy(logits, cls)
            box_loss = F.smooth_l1_loss(predicted, box, beta=0.05)
            loss = class_loss + 5.0 * box_loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(detector.parameters(), max_norm=10.0)
            optimizer.step()
            watch.step(loss=loss, batch={"image": img, "boxes": box, "labels": cls})
        scheduler.step()
    return {"quality": score(detector, *val)}
