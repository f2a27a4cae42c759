"""Adafactor without a learning rate of its own (``lr=None``, relative steps), as T5 is trained."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers.optimization import Adafactor


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Embedding(40, 32), nn.Flatten(), nn.Linear(6 * 32, 128), nn.ReLU(), nn.Linear(128, 40)
    )
    optimizer = Adafactor(
        model.parameters(), lr=None, scale_parameter=True, relative_step=True, warmup_init=False
    )
    watch = watch_factory(model, optimizer)
    for step in range(350):
        tokens = torch.randint(40, (64, 6), generator=rng)
        target = tokens.max(1).values
        logits = model(tokens)
        loss = F.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(tokens, target))
    return {"quality": (logits.argmax(1) == target).float().mean().item()}
