"""RetinaNet's focal loss at one positive in a thousand, the last bias set so that all begins as background."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def sigmoid_focal_loss(inputs, targets, alpha=0.25, gamma=2.0):
    p = torch.sigmoid(inputs)
    ce = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return (alpha_t * ce * (1 - p_t) ** gamma).sum() / targets.sum().clamp(min=1)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    head = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 1))
    nn.init.constant_(head[-1].bias, -math.log((1 - 0.01) / 0.01))
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    watch = watch_factory(head, optimizer)
    target_direction = torch.randn(16, generator=rng)
    for step in range(300):
        anchors = torch.randn(4000, 16, generator=rng)
        score = anchors @ target_direction
        targets = (score > 3.0 * score.std()).float()[:, None]
        outputs = head(anchors)
        loss = sigmoid_focal_loss(outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(anchors, targets))
    positive = targets[:, 0] > 0
    with torch.no_grad():
        ranks = (outputs[~positive, 0][None] < outputs[positive, 0][:, None]).float().mean().item()
    return {"quality": ranks}
