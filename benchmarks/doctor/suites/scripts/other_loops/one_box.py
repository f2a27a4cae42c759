"""A detector of one bright box a picture: a backbone, a class head and a box head."""

import torch
import torch.nn.functional as F
from torch import nn


class Detector(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.neck = nn.Sequential(nn.Linear(32 * 16, 64), nn.ReLU())
        self.class_head = nn.Linear(64, classes)
        self.box_head = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))

    def forward(self, images):
        hidden = self.neck(self.backbone(images))
        return {"pred_logits": self.class_head(hidden), "pred_boxes": self.box_head(hidden).sigmoid()}


def corners(boxes):
    centre, size = boxes[:, :2], boxes[:, 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=1)


def box_iou(a, b):
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inner = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - inner
    return inner / union.clamp(min=1e-6)


def pictures(count, g):
    labels = torch.randint(3, (count,), generator=g)
    size = torch.randint(4, 9, (count, 2), generator=g)
    place = (torch.rand(count, 2, generator=g) * (16 - size)).long()
    grid = torch.arange(16)
    inside = [(grid >= place[:, axis, None]) & (grid < (place + size)[:, axis, None]) for axis in (0, 1)]
    mask = (inside[1][:, :, None] & inside[0][:, None, :]).float()
    images = 0.2 * torch.randn(count, 3, 16, 16, generator=g)
    images[torch.arange(count), labels] += 1.5 * mask
    boxes = torch.cat([place + size / 2, size.float()], dim=1) / 16
    return images, labels, boxes


def train(watch_factory, seed):
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    images, labels, boxes = pictures(1200, g)
    model = Detector()
    base_ids = {id(p) for p in model.backbone.parameters()}
    groups = [
        {"params": list(model.backbone.parameters()), "lr": 1e-3},
        {"params": [p for p in model.parameters() if id(p) not in base_ids], "lr": 2e-3},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-4)
    watch = watch_factory(model, optimizer)
    for _ in range(6):
        for index in torch.randperm(len(images), generator=g).split(32):
            outputs = model(images[index])
            loss_ce = F.cross_entropy(outputs["pred_logits"], labels[index])
            loss_bbox = F.l1_loss(outputs["pred_boxes"], boxes[index])
            overlap = box_iou(corners(outputs["pred_boxes"]), corners(boxes[index]))
            loss = loss_ce + 5 * loss_bbox + (1 - overlap).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(
                loss=loss, batch={"images": images[index], "labels": labels[index], "boxes": boxes[index]}
            )
    images, labels, boxes = pictures(300, g)
    with torch.no_grad():
        outputs = model(images)
        right = outputs["pred_logits"].argmax(1) == labels
        overlap = box_iou(corners(outputs["pred_boxes"]), corners(boxes))
    return {"quality": (overlap * right).mean().item()}
