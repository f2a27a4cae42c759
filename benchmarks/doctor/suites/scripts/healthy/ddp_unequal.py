"""DDP of two processes with batches of unequal size and number, under ``join``."""

import gc
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
import torch.nn.functional as F


def worker(rank, watch_factory, seed, meeting, queue):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed + 10 * rank)
    centres = torch.randn(5, 12, generator=torch.Generator().manual_seed(seed))
    model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 5)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    watch = watch_factory(model, optimizer)
    with model.join():
        for step in range(100 + 8 * rank):
            y = torch.randint(5, (24 + 8 * rank + step % 3,), generator=rng)
            x = centres[y] + 0.6 * torch.randn(len(y), 12, generator=rng)
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=(x, y))
    if rank == 0:
        queue.append((logits.argmax(1) == y).float().mean().item())
    dist.barrier()
    # The wrapper goes before its group: freed after it, its last reference to the group joins gloo's thread while it
    # holds Python's lock, which that thread may be waiting for.
    del model, optimizer, watch, logits, loss
    gc.collect()
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
