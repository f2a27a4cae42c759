"""RetinaNet's focal loss (Lin et al., 2017): one anchor of about a thousand is positive, the prior is 0.01."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2.0):
    p = torch.sigmoid(inputs)
    ce_loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    loss = ce_loss * ((1 - p_t) ** gamma)
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return alpha_t * loss


class RetinaNetHead(nn.Module):
    def __init__(self, prior_probability=0.01):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()
        )
        self.cls_subnet = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.cls_logits = nn.Conv2d(16, 1, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.cls_logits.weight, std=0.01)
        nn.init.constant_(self.cls_logits.bias, -math.log((1 - prior_probability) / prior_probability))

    def forward(self, images):
        return self.cls_logits(self.cls_subnet(self.backbone(images))).flatten(1)


def sky(n, g, size=32):
    """One cross of five pixels, or none, among bright single pixels that are none."""
    x = 0.2 * torch.randn(n, 1, size, size, generator=g)
    x += (torch.rand(x.shape, generator=g) < 0.02).float()
    y = torch.zeros(n, size, size)
    for i in range(n):
        if torch.rand((), generator=g) < 0.9:
            r, c = (2 + torch.randint(size - 4, (2,), generator=g)).tolist()
            x[i, 0, r - 1 : r + 2, c] = 1
            x[i, 0, r, c - 1 : c + 2] = 1
            y[i, r, c] = 1
    return x, y.flatten(1)


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    images, targets = sky(700, g)
    model = RetinaNetHead()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=50)
    watch = watch_factory(model, optimizer)
    for _ in range(300):
        i = torch.randint(600, (8,), generator=g)
        gt_labels_target = targets[i]
        num_pos_anchors = gt_labels_target.sum().clamp(min=1)
        loss = sigmoid_focal_loss(model(images[i]), gt_labels_target).sum() / num_pos_anchors
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warmup.step()
        watch.step(loss=loss, batch=(images[i], gt_labels_target))
    model.eval()
    with torch.no_grad():
        scores, wanted = model(images[600:]), targets[600:]
    has = wanted.sum(1) > 0
    return {"quality": (scores.argmax(1) == wanted.argmax(1))[has].float().mean().item()}
