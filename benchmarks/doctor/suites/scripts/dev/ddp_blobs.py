"""Two processes train one model, each on its half of the data."""

import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
import torch.nn.functional as F

WORLD = 2


def build_data(seed):
    g = torch.Generator().manual_seed(seed)
    centers = torch.randn(5, 12, generator=g) * 1.4
    y = torch.randint(5, (1500,), generator=g)
    return centers[y] + torch.randn(1500, 12, generator=g), y


def average_gradients(model):
    for param in model.parameters():
        dist.all_reduce(param.grad)
        param.grad /= WORLD


def run(rank, rendezvous, watch_factory, seed):
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=WORLD)
    x, y = build_data(seed)
    x_test, y_test = x[1200:], y[1200:]
    x_local, y_local = x[rank:1200:WORLD], y[rank:1200:WORLD]
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 5))
    for param in model.parameters():
        dist.broadcast(param.data, 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    watch = watch_factory(model, optimizer)
    g = torch.Generator().manual_seed(seed + rank)
    for step in range(200):
        index = torch.randint(len(x_local), (16,), generator=g)
        xb, yb = x_local[index], y_local[index]
        loss = F.cross_entropy(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        average_gradients(model)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        watch.step(loss=loss, batch=(xb, yb))
    accuracy = (model(x_test).argmax(1) == y_test).float().mean()
    flat = torch.cat([param.data.flatten() for param in model.parameters()])
    low = flat.clone()
    dist.all_reduce(low, op=dist.ReduceOp.MIN)
    dist.barrier()
    dist.destroy_process_group()
    return {"quality": accuracy.item(), "disagreement": (flat - low).abs().max().item()}


def train(watch_factory, seed):
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = Path(folder) / "rendezvous"
        other = mp.get_context("fork").Process(target=run, args=(1, rendezvous, watch_factory, seed))
        other.start()
        figures = run(0, rendezvous, watch_factory, seed)
        other.join()
    return figures
