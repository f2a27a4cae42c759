"""Set prediction of boxes after facebookresearch/detr: queries, Hungarian matching, auxiliary losses."""

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn

SIZE, QUERIES, CLASSES, DIM = 24, 5, 2, 48


def box_cxcywh_to_xyxy(x):
    cx, cy, w, h = x.unbind(-1)
    return torch.stack([cx - 0.5 * w, cy - 0.5 * h, cx + 0.5 * w, cy + 0.5 * h], dim=-1)


def generalized_box_iou(a, b):
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    wh = (torch.min(a[:, None, 2:], b[:, 2:]) - torch.max(a[:, None, :2], b[:, :2])).clamp(min=0)
    inter = wh.prod(-1)
    union = area_a[:, None] + area_b - inter
    hull = (torch.max(a[:, None, 2:], b[:, 2:]) - torch.min(a[:, None, :2], b[:, :2])).clamp(min=0).prod(-1)
    return inter / union - (hull - union) / hull, inter / union


class DETR(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 24, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(24, DIM, 3, stride=2, padding=1)
        )
        self.pos = nn.Parameter(0.02 * torch.randn(1, (SIZE // 4) ** 2, DIM))
        self.encoder = nn.TransformerEncoderLayer(DIM, 4, 96, dropout=0.0, batch_first=True)
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(DIM, 4, 96, dropout=0.0, batch_first=True) for _ in range(2)
        )
        self.norm = nn.LayerNorm(DIM)
        self.query_embed = nn.Embedding(QUERIES, DIM)
        self.class_embed = nn.Linear(DIM, CLASSES + 1)
        self.bbox_embed = nn.Sequential(nn.Linear(DIM, DIM), nn.ReLU(), nn.Linear(DIM, 4))

    def forward(self, samples):
        memory = self.encoder(self.backbone(samples).flatten(2).transpose(1, 2) + self.pos)
        tgt, outputs = self.query_embed.weight.expand(len(samples), -1, -1), []
        for layer in self.decoder:
            tgt = layer(tgt, memory)
            hs = self.norm(tgt)
            outputs.append({"pred_logits": self.class_embed(hs), "pred_boxes": self.bbox_embed(hs).sigmoid()})
        return {**outputs[-1], "aux_outputs": outputs[:-1]}


class SetCriterion(nn.Module):
    weight_dict = {"loss_ce": 1, "loss_bbox": 5, "loss_giou": 2}  # noqa: RUF012

    def __init__(self, eos_coef=0.1):
        super().__init__()
        empty_weight = torch.ones(CLASSES + 1)
        empty_weight[-1] = eos_coef
        self.register_buffer("empty_weight", empty_weight)

    @torch.no_grad()
    def match(self, out, targets):
        indices = []
        for logits, boxes, t in zip(out["pred_logits"], out["pred_boxes"], targets, strict=True):
            cost_class = -logits.softmax(-1)[:, t["labels"]]
            cost_bbox = torch.cdist(boxes, t["boxes"], p=1)
            giou, _ = generalized_box_iou(box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(t["boxes"]))
            i, j = linear_sum_assignment(5 * cost_bbox + cost_class - 2 * giou)
            indices.append((torch.as_tensor(i), torch.as_tensor(j)))
        return indices

    def forward(self, outputs, targets):
        num_boxes, losses = sum(len(t["labels"]) for t in targets), {}
        for k, out in enumerate([outputs, *outputs["aux_outputs"]]):
            indices = self.match(out, targets)
            batch_idx = torch.cat([torch.full_like(i, b) for b, (i, _) in enumerate(indices)])
            src_idx = torch.cat([i for i, _ in indices])
            target_classes = torch.full(out["pred_logits"].shape[:2], CLASSES)
            target_classes[batch_idx, src_idx] = torch.cat(
                [t["labels"][j] for t, (_, j) in zip(targets, indices)]
            )
            losses[f"loss_ce_{k}"] = F.cross_entropy(
                out["pred_logits"].transpose(1, 2), target_classes, self.empty_weight
            )
            src = out["pred_boxes"][batch_idx, src_idx]
            tgt = torch.cat([t["boxes"][j] for t, (_, j) in zip(targets, indices)])
            losses[f"loss_bbox_{k}"] = F.l1_loss(src, tgt, reduction="none").sum() / num_boxes
            giou, _ = generalized_box_iou(box_cxcywh_to_xyxy(src), box_cxcywh_to_xyxy(tgt))
            losses[f"loss_giou_{k}"] = (1 - giou.diag()).sum() / num_boxes
        return losses


def scenes(n, g):
    images, targets = 0.1 * torch.randn(n, 3, SIZE, SIZE, generator=g), []
    for image in images:
        labels = torch.randint(CLASSES, (int(torch.randint(1, 3, (1,), generator=g)),), generator=g)
        boxes = []
        for label in labels.tolist():
            w, h = torch.randint(7, 13, (2,), generator=g).tolist()
            x, y = (int(torch.randint(SIZE - s, (1,), generator=g)) for s in (w, h))
            image[label, y : y + h, x : x + w] = 1.0
            boxes.append([(x + w / 2) / SIZE, (y + h / 2) / SIZE, w / SIZE, h / SIZE])
        targets.append({"labels": labels, "boxes": torch.tensor(boxes)})
    return images, targets


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    images, targets = scenes(900, g)
    model, criterion = DETR(), SetCriterion()
    param_dicts = [
        {"params": [p for n, p in model.named_parameters() if "backbone" not in n]},
        {"params": [p for n, p in model.named_parameters() if "backbone" in n], "lr": 5e-4},
    ]
    optimizer = torch.optim.AdamW(param_dicts, lr=1e-3, weight_decay=1e-4)
    lr_scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 260)
    watch = watch_factory(model, optimizer)
    for _ in range(320):
        pick = torch.randint(800, (16,), generator=g)
        samples, batch_targets = images[pick], [targets[i] for i in pick]
        loss_dict = criterion(model(samples), batch_targets)
        losses = sum(loss_dict[k] * criterion.weight_dict[k.rsplit("_", 1)[0]] for k in loss_dict)
        optimizer.zero_grad()
        losses.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        lr_scheduler.step()
        watch.step(loss=losses, batch=(samples, batch_targets))
    model.eval()
    with torch.no_grad():
        out, overlaps = model(images[800:]), []
        for b, (i, j) in enumerate(criterion.match(out, targets[800:])):
            found = box_cxcywh_to_xyxy(out["pred_boxes"][b, i])
            overlaps.append(
                generalized_box_iou(found, box_cxcywh_to_xyxy(targets[800 + b]["boxes"][j]))[1].diag()
            )
    return {"quality": torch.cat(overlaps).mean().item()}
