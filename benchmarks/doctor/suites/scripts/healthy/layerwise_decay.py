"""Fine-tuning with a learning rate for each layer, as ELECTRA and BEiT do: the lowest learns least of all."""

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, LENGTH, DIM, DEPTH = 32, 16, 48, 4


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = nn.Embedding(VOCAB, DIM)
        self.position = nn.Parameter(0.02 * torch.randn(LENGTH, DIM))
        self.layer = nn.ModuleList(
            nn.TransformerEncoderLayer(DIM, 4, 96, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(DEPTH)
        )
        self.head = nn.Linear(DIM, VOCAB)

    def forward(self, ids):
        x = self.embeddings(ids) + self.position
        for layer in self.layer:
            x = layer(x)
        return self.head(x)


class Classifier(nn.Module):
    def __init__(self, encoder, classes):
        super().__init__()
        self.encoder = encoder
        encoder.head = nn.Identity()
        self.classifier = nn.Linear(DIM, classes)

    def forward(self, ids):
        return self.classifier(self.encoder(ids).mean(1))


def chains(n, g, kinds):
    """Tokens that follow one another by a rule, of which there are several."""
    steps = torch.tensor([1, 3, 5, 11])
    y = torch.randint(kinds, (n,), generator=g)
    by_rule = torch.rand(n, LENGTH, generator=g) < 0.85
    walk = torch.where(by_rule, steps[y][:, None], torch.randint(VOCAB, (n, LENGTH), generator=g))
    return walk.cumsum(1) % VOCAB, y


def pretrain(encoder, g):
    opt = torch.optim.AdamW(encoder.parameters(), lr=2e-3)
    for _ in range(200):
        ids, _ = chains(48, g, kinds=4)
        hidden = torch.rand(ids.shape, generator=g) < 0.2
        loss = F.cross_entropy(encoder(ids.masked_fill(hidden, 0))[hidden], ids[hidden])
        opt.zero_grad()
        loss.backward()
        opt.step()


def get_num_layer_for_bert(name):
    if name.startswith(("encoder.embeddings", "encoder.position")):
        return 0
    if name.startswith("encoder.layer"):
        return int(name.split(".")[2]) + 1
    return DEPTH + 1


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    encoder = Encoder()
    pretrain(encoder, g)
    model = Classifier(encoder, classes=4)
    base_lr, layer_decay, groups = 2e-3, 0.5, {}
    for name, param in model.named_parameters():
        layer_id = get_num_layer_for_bert(name)
        no_decay = param.ndim == 1 or name == "encoder.position"
        group = groups.setdefault((layer_id, no_decay), {
            "params": [], "weight_decay": 0.0 if no_decay else 0.05,
            "lr": base_lr * layer_decay ** (DEPTH + 1 - layer_id),
        })  # fmt: skip
        group["params"].append(param)
    optimizer = torch.optim.AdamW(list(groups.values()))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min((s + 1) / 20, (200 - s) / 180))
    x, y = chains(1500, g, kinds=4)
    x_dev, y_dev = chains(400, g, kinds=4)
    watch = watch_factory(model, optimizer)
    for _ in range(200):
        i = torch.randint(1500, (16,), generator=g)
        loss = F.cross_entropy(model(x[i]), y[i])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        watch.step(loss=loss, batch=(x[i], y[i]))
    model.eval()
    with torch.no_grad():
        return {"quality": (model(x_dev).argmax(1) == y_dev).float().mean().item()}
