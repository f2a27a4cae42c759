"""DETR: set prediction of boxes by Hungarian matching, with auxiliary losses after every decoder layer."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment


class DETR(nn.Module):
    def __init__(self, num_classes=3, d=48, queries=6):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, d, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.pos = nn.Parameter(0.1 * torch.randn(64, d))
        self.query_embed = nn.Embedding(queries, d)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(d, 4, 96, dropout=0.1, batch_first=True) for _ in range(2)
        )
        self.class_embed = nn.Linear(d, num_classes + 1)
        self.bbox_embed = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, 4))

    def forward(self, images):
        memory = self.backbone(images).flatten(2).transpose(1, 2) + self.pos
        x = self.query_embed.weight.expand(len(images), -1, -1)
        outputs = []
        for layer in self.layers:
            x = layer(x, memory)
            outputs.append({"pred_logits": self.class_embed(x), "pred_boxes": self.bbox_embed(x).sigmoid()})
        return {**outputs[-1], "aux_outputs": outputs[:-1]}


@torch.no_grad()
def match(output, targets):
    indices = []
    for logits, boxes, target in zip(output["pred_logits"], output["pred_boxes"], targets, strict=True):
        cost = -logits.softmax(-1)[:, target["labels"]] + 5 * torch.cdist(boxes, target["boxes"], p=1)
        indices.append(linear_sum_assignment(cost.numpy()))
    return indices


def set_criterion(output, targets, empty_weight):
    total = 0.0
    for one in [output, *output["aux_outputs"]]:
        classes = torch.full(one["pred_logits"].shape[:2], 3)
        boxes = []
        for b, (src, tgt) in enumerate(match(one, targets)):
            classes[b, src] = targets[b]["labels"][tgt]
            boxes.append(F.l1_loss(one["pred_boxes"][b, src], targets[b]["boxes"][tgt], reduction="sum"))
        total = total + F.cross_entropy(one["pred_logits"].transpose(1, 2), classes, empty_weight)
        total = total + 5 * sum(boxes) / max(sum(len(t["labels"]) for t in targets), 1)
    return total


def draw(n, rng):
    images, targets = 0.1 * torch.randn(n, 3, 32, 32, generator=rng), []
    for b in range(n):
        labels = torch.randint(3, (int(torch.randint(1, 3, (1,), generator=rng)),), generator=rng)
        boxes = []
        for label in labels:
            w, h = torch.randint(8, 16, (2,), generator=rng).tolist()
            x, y = (
                int(torch.randint(32 - w, (1,), generator=rng)),
                int(torch.randint(32 - h, (1,), generator=rng)),
            )
            images[b, label, y : y + h, x : x + w] += 1.5
            boxes.append([(x + w / 2) / 32, (y + h / 2) / 32, w / 32, h / 32])
        targets.append({"labels": labels, "boxes": torch.tensor(boxes)})
    return images, targets


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = DETR()
    backbone = [p for n, p in model.named_parameters() if n.startswith("backbone")]
    rest = [p for n, p in model.named_parameters() if not n.startswith("backbone")]
    optimizer = torch.optim.AdamW(
        [{"params": rest}, {"params": backbone, "lr": 3e-4}], lr=1e-3, weight_decay=1e-4
    )
    watch = watch_factory(model, optimizer)
    empty_weight = torch.tensor([1.0, 1.0, 1.0, 0.1])
    first = None
    for step in range(220):
        images, targets = draw(8, rng)
        loss = set_criterion(model(images), targets, empty_weight)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        watch.step(loss=loss, batch=(images, targets))
        first = loss.item() if first is None else first
    return {"quality": 1 - loss.item() / first}
