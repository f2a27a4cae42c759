"""LoRA: a frozen base with low-rank factors, B at zero; only the factors go to the optimizer."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class LoRALinear(nn.Module):
    def __init__(self, base, r=4, alpha=8):
        super().__init__()
        self.base = base
        self.base.weight.requires_grad_(False)
        self.base.bias.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.empty(r, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.scaling = alpha / r
        self.dropout = nn.Dropout(0.05)

    def forward(self, x):
        return self.base(x) + self.dropout(x) @ self.lora_A.T @ self.lora_B.T * self.scaling


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(8, 16, generator=rng)

    def batch(shift):
        y = torch.randint(8, (64,), generator=rng)
        return centres[y] + torch.randn(64, 16, generator=rng), (y + shift) % 8

    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    pre = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(100):  # the base model
        x, y = batch(0)
        pre.zero_grad()
        F.cross_entropy(model(x), y).backward()
        pre.step()
    for place in (0, 2, 4):
        model[place] = LoRALinear(model[place])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    watch = watch_factory(model, optimizer)
    for step in range(300):
        x, y = batch(1)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
