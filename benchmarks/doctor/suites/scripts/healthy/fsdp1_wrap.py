"""FullyShardedDataParallel, as PyTorch's tutorial wraps a small transformer, with two processes on the CPU."""

import functools
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
import torch.nn.functional as F
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

WORLD, VOCAB, LENGTH = 2, 16, 10


class Sorter(nn.Module):
    """Says at each place which token stands there once the row is sorted."""

    def __init__(self, dim=32):
        super().__init__()
        self.embed, self.pos = nn.Embedding(VOCAB, dim), nn.Parameter(0.1 * torch.randn(LENGTH, dim))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, 4, 64, dropout=0.0, batch_first=True) for _ in range(2)
        )
        self.head = nn.Linear(dim, VOCAB)

    def forward(self, ids):
        x = self.embed(ids) + self.pos
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def fsdp_main(rank, rendezvous, watch_factory, seed):
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=WORLD)
    torch.manual_seed(seed)
    policy = functools.partial(
        transformer_auto_wrap_policy, transformer_layer_cls={nn.TransformerEncoderLayer}
    )
    model = FSDP(Sorter(), auto_wrap_policy=policy, device_id=torch.device("cpu"), use_orig_params=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    watch = watch_factory(model, optimizer)
    g = torch.Generator().manual_seed(100 * seed + rank)
    for _ in range(150):
        data = torch.randint(VOCAB, (32, LENGTH), generator=g)
        target = data.sort(1).values
        optimizer.zero_grad()
        loss = F.cross_entropy(model(data).transpose(1, 2), target)
        loss.backward()
        model.clip_grad_norm_(1.0)
        optimizer.step()
        watch.step(loss=loss, batch=(data, target))
    data = torch.randint(VOCAB, (200, LENGTH), generator=g)
    model.eval()
    with torch.no_grad():
        correct = (model(data).argmax(-1) == data.sort(1).values).float().mean()
    dist.all_reduce(correct, op=dist.ReduceOp.SUM)
    dist.barrier()
    dist.destroy_process_group()
    return {"quality": correct.item() / WORLD}


def train(watch_factory, seed):
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = Path(folder) / "rendezvous"
        other = mp.get_context("fork").Process(target=fsdp_main, args=(1, rendezvous, watch_factory, seed))
        other.start()
        figures = fsdp_main(0, rendezvous, watch_factory, seed)
        other.join()
    return figures
