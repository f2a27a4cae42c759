"""nanoGPT: a character-level GPT with weight decay on matrices only, warm-up and cosine, gradients clipped."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.ln_1, self.ln_2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)
        self.mlp = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.GELU(), nn.Linear(4 * n_embd, n_embd))

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (
            t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.c_attn(self.ln_1(x)).split(C, 2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(B, T, C))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocab_size, block_size, n_embd=48):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab_size, n_embd), nn.Embedding(block_size, n_embd)
        self.h = nn.ModuleList(Block(n_embd, 4) for _ in range(2))
        self.ln_f = nn.LayerNorm(n_embd)
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.wte.weight = self.lm_head.weight
        self.apply(self._init_weights)

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, idx, targets=None):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))
        for block in self.h:
            x = block(x)
        logits = self.lm_head(self.ln_f(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


def train(watch_factory, seed):
    words = ["the ", "cat ", "sat ", "on ", "a ", "mat. ", "dogs ", "run ", "home. "]
    rng = torch.Generator().manual_seed(seed)
    text = "".join(words[i] for i in torch.randint(len(words), (4000,), generator=rng).tolist())
    chars = sorted(set(text))
    data = torch.tensor([chars.index(c) for c in text])
    train_data, val_data = data[: int(0.9 * len(data))], data[int(0.9 * len(data)) :]
    block_size = 32

    def get_batch(split, size=16):
        source = train_data if split == "train" else val_data
        ix = torch.randint(len(source) - block_size - 1, (size,), generator=rng)
        x = torch.stack([source[i : i + block_size] for i in ix])
        y = torch.stack([source[i + 1 : i + 1 + block_size] for i in ix])
        return x, y

    model = GPT(len(chars), block_size)
    decay = [p for p in model.parameters() if p.dim() >= 2]
    nodecay = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": nodecay, "weight_decay": 0.0}],
        lr=1e-3,
        betas=(0.9, 0.95),
    )
    watch = watch_factory(model, optimizer)
    max_iters, warmup = 240, 20
    for it in range(max_iters):
        coeff = 0.5 * (1 + math.cos(math.pi * (it - warmup) / (max_iters - warmup)))
        lr = 3e-3 * (it + 1) / warmup if it < warmup else 3e-4 + coeff * 2.7e-3
        for group in optimizer.param_groups:
            group["lr"] = lr
        val_loss = None
        if it % 40 == 0:
            model.eval()
            with torch.no_grad():
                val_loss = torch.stack([model(*get_batch("val"))[1] for _ in range(4)]).mean().item()
            model.train()
        x, y = get_batch("train")
        _logits, loss = model(x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        watch.step(loss=loss, batch=(x, y), val_loss=val_loss)
    return {"quality": 1 - loss.item() / math.log(len(chars))}
