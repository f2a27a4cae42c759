"""Knowledge distillation: a frozen teacher, soft targets at temperature 4, a little of the hard loss."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def net(width):
    return nn.Sequential(
        nn.Linear(20, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(10, 20, generator=rng)

    def batch():
        y = torch.randint(10, (64,), generator=rng)
        return centres[y] + 0.8 * torch.randn(64, 20, generator=rng), y

    teacher, student = net(128), net(32)
    pre = torch.optim.Adam(teacher.parameters(), 2e-3)
    for _ in range(150):
        x, y = batch()
        pre.zero_grad()
        F.cross_entropy(teacher(x), y).backward()
        pre.step()
    teacher.eval()
    optimizer = torch.optim.Adam(student.parameters(), lr=2e-3)
    watch = watch_factory(student, optimizer)
    T, alpha = 4.0, 0.9
    for step in range(300):
        x, y = batch()
        with torch.no_grad():
            teacher_logits = teacher(x)
        logits = student(x)
        soft = (
            F.kl_div(F.log_softmax(logits / T, 1), F.softmax(teacher_logits / T, 1), reduction="batchmean")
            * T
            * T
        )
        loss = alpha * soft + (1 - alpha) * F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
    return {"quality": (logits.argmax(1) == y).float().mean().item()}
