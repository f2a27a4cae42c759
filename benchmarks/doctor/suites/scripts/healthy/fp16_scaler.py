"""Mixed precision: a gradient scaler whose first scale overflows, a fused AdamW that unscales by itself."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(8, 24, generator=rng)
    model = nn.Sequential(nn.Linear(24, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU(), nn.Linear(128, 8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=50)
    watch = watch_factory(model, optimizer)
    for step in range(300):
        y = torch.randint(8, (64,), generator=rng)
        x = centres[y] + 0.7 * torch.randn(64, 24, generator=rng)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(x)
            loss = F.cross_entropy(logits.float(), y)
        scaler.scale(4 * loss).backward()
        scaler.step(optimizer)
        scaler.update()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
