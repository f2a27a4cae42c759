"""DPO: preferred against rejected answers, with a frozen reference, at a learning rate of 1e-6."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F


class TinyLM(nn.Module):
    def __init__(self, vocab=32, dim=64):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.head = nn.Linear(dim, vocab)

    def forward(self, ids):
        return self.head(self.rnn(self.embed(ids))[0])


def logps(model, ids):
    logits = model(ids[:, :-1])
    return torch.gather(logits.log_softmax(-1), 2, ids[:, 1:, None]).squeeze(2).sum(1)


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    policy = TinyLM()
    pre = torch.optim.Adam(policy.parameters(), 1e-3)
    for _ in range(20):  # stands for the supervised stage
        ids = torch.randint(32, (16, 12), generator=rng)
        loss = F.cross_entropy(policy(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        pre.zero_grad()
        loss.backward()
        pre.step()
    reference = copy.deepcopy(policy).eval().requires_grad_(False)
    optimizer = torch.optim.RMSprop(policy.parameters(), lr=1e-6)
    watch = watch_factory(policy, optimizer)
    beta = 0.1
    for step in range(150):
        prompt = torch.randint(32, (16, 4), generator=rng)
        chosen = torch.cat([prompt, torch.randint(0, 16, (16, 8), generator=rng)], 1)
        rejected = torch.cat([prompt, torch.randint(16, 32, (16, 8), generator=rng)], 1)
        with torch.no_grad():
            ref_chosen, ref_rejected = logps(reference, chosen), logps(reference, rejected)
        both = logps(policy, torch.cat([chosen, rejected]))
        margin = (both[:16] - ref_chosen) - (both[16:] - ref_rejected)
        loss = -F.logsigmoid(beta * margin).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        watch.step(loss=loss, batch={"chosen": chosen, "rejected": rejected})
    return {"quality": float(loss.item() < 0.6931)}
