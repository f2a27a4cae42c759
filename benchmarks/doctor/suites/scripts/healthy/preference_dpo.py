"""Direct preference optimisation (Rafailov et al., 2023) at 1e-6, with RMSprop and a warm-up as its authors have it."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, PROMPT, ANSWER, DIM = 24, 6, 6, 64


class TinyLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, DIM)
        self.pos = nn.Parameter(0.02 * torch.randn(PROMPT + ANSWER, DIM))
        layer = nn.TransformerEncoderLayer(DIM, 4, 128, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(DIM, VOCAB)

    def forward(self, ids):
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.head(self.blocks(self.embed(ids) + self.pos[: ids.shape[1]], mask=mask, is_causal=True))


def get_batch_logps(logits, labels):
    """Sum of the log probabilities of the labels that are not -100."""
    labels, logits = labels[:, 1:].clone(), logits[:, :-1, :]
    loss_mask = labels != -100
    labels[labels == -100] = 0
    per_token_logps = torch.gather(logits.log_softmax(-1), dim=2, index=labels.unsqueeze(2)).squeeze(2)
    return (per_token_logps * loss_mask).sum(-1)


def pairs(n, g):
    """Prompts of letters; liked is the prompt in order, disliked the prompt backwards, each with a few slips."""
    prompt = torch.randint(VOCAB, (n, PROMPT), generator=g)
    answers = []
    for base in (prompt, prompt.flip(1)):
        slips = torch.rand(n, ANSWER, generator=g) < 0.1
        answers.append(torch.where(slips, torch.randint(VOCAB, (n, ANSWER), generator=g), base))
    chosen, rejected = (torch.cat([prompt, answer], 1) for answer in answers)
    return {"chosen": chosen, "rejected": rejected}


def labels_of(ids):
    return torch.cat([torch.full_like(ids[:, :PROMPT], -100), ids[:, PROMPT:]], 1)


def preference_loss(policy, reference, batch, beta=0.1):
    ids = torch.cat([batch["chosen"], batch["rejected"]])
    pi = get_batch_logps(policy(ids), labels_of(ids))
    with torch.no_grad():
        ref = get_batch_logps(reference(ids), labels_of(ids))
    rewards = beta * (pi - ref)
    chosen, rejected = rewards.chunk(2)
    return -F.logsigmoid(chosen - rejected).mean(), (chosen > rejected).float().mean()


def supervised(model, g):
    """What comes before: the model has learnt to answer, in either way."""
    opt = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(120):
        both = pairs(32, g)
        ids = torch.cat([both["chosen"], both["rejected"]])
        loss = F.cross_entropy(model(ids)[:, :-1].transpose(1, 2), labels_of(ids)[:, 1:], ignore_index=-100)
        opt.zero_grad()
        loss.backward()
        opt.step()


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    policy = TinyLM()
    supervised(policy, g)
    reference = copy.deepcopy(policy).eval().requires_grad_(False)
    optimizer = torch.optim.RMSprop(policy.parameters(), lr=1e-6)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 50))
    watch = watch_factory(policy, optimizer)
    for _ in range(200):
        batch = pairs(16, g)
        loss, _accuracy = preference_loss(policy, reference, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        watch.step(loss=loss, batch=batch)
    policy.eval()
    with torch.no_grad():
        _, accuracy = preference_loss(policy, reference, pairs(400, g))
    return {"quality": accuracy.item()}
