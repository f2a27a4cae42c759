"""Data-parallel regression over two processes with gloo."""

import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh())
        self.value = nn.Linear(40, 1)

    def forward(self, x):
        return self.value(self.trunk(x)).squeeze(1)


def table(seed):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(1400, 6, generator=rng)
    y = torch.sin(x[:, 0]) + x[:, 1] * x[:, 2] * 0.5 + 0.3 * x[:, 3] + 0.05 * torch.randn(1400, generator=rng)
    return x, y


def sync(module, world_size):
    for p in module.parameters():
        dist.all_reduce(p.grad, op=dist.ReduceOp.SUM)
        p.grad.div_(world_size)


def main_worker(rank, world_size, init_file, watch_factory, seed):
    dist.init_process_group(
        backend="gloo", init_method="file://" + init_file, rank=rank, world_size=world_size
    )
    x, y = table(seed)
    train_x, train_y = x[:1200], y[:1200]
    test_x, test_y = x[1200:], y[1200:]
    torch.manual_seed(seed)
    model = Regressor()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    loss_fn = nn.MSELoss()
    watch = watch_factory(model, optimizer)
    sampler = torch.Generator().manual_seed(100 * seed + rank)
    for epoch in range(8):
        model.train()
        own = torch.arange(rank, 1200, world_size)
        own = own[torch.randperm(len(own), generator=sampler)]
        for rows in own.split(24):
            loss = loss_fn(model(train_x[rows]), train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            sync(model, world_size)
            optimizer.step()
            watch.step(loss=loss, batch=(train_x[rows], train_y[rows]))
    model.eval()
    with torch.no_grad():
        r2 = 1 - (model(test_x) - test_y).pow(2).mean() / test_y.var()
    largest = torch.cat([p.detach().flatten() for p in model.parameters()])
    own_weights = largest.clone()
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    dist.barrier()
    dist.destroy_process_group()
    return {"quality": r2.item(), "disagreement": (largest - own_weights).abs().max().item()}


def train(watch_factory, seed):
    with tempfile.TemporaryDirectory() as tmp:
        init_file = tmp + "/init"
        peer = mp.get_context("fork").Process(target=main_worker, args=(1, 2, init_file, watch_factory, seed))
        peer.start()
        result = main_worker(0, 2, init_file, watch_factory, seed)
        peer.join()
    return result
