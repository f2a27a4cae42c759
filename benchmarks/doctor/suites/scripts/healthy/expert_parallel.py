"""Expert parallelism: each process has its own expert, only the shared part is averaged over processes."""

import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.expert, self.shared = nn.Linear(12, 64), nn.Linear(64, 5)

    def forward(self, x):
        return self.shared(F.relu(self.expert(x)))


def worker(rank, watch_factory, seed, meeting, queue):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    torch.manual_seed(seed + rank)
    model = Net()
    for p in model.shared.parameters():
        dist.broadcast(p.data, 0)
    rng = torch.Generator().manual_seed(seed + 10 * rank)
    centres = torch.randn(5, 12, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    watch = watch_factory(model, optimizer)
    for step in range(120):
        y = torch.randint(5, (48,), generator=rng)
        x = centres[y] + 0.6 * torch.randn(48, 12, generator=rng)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        for p in model.shared.parameters():
            dist.all_reduce(p.grad)
            p.grad /= 2
        optimizer.step()
        watch.step(loss=loss, batch=(x, y))
    if rank == 0:
        queue.append((logits.argmax(1) == y).float().mean().item())
    dist.barrier()
    dist.destroy_process_group()


def train(watch_factory, seed):
    context = mp.get_context("fork")
    meeting = tempfile.mktemp()
    other = context.Process(target=worker, args=(1, watch_factory, seed, meeting, []))
    other.start()
    quality = []
    worker(0, watch_factory, seed, meeting, quality)
    other.join()
    return {"quality": quality[0]}
