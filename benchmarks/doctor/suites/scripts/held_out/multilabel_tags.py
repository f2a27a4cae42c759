"""Which of six topics does a bag of words speak of? Several at once."""

import torch
import torch.nn as nn

TOPICS, VOCABULARY = 6, 40


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(VOCABULARY, 64),
            nn.BatchNorm1d(64),
            nn.ReLU(inplace=True),
            nn.Dropout(p=0.2),
            nn.Linear(64, 32),
            nn.ReLU(inplace=True),
        )
        self.tags = nn.Linear(32, TOPICS)

    def forward(self, counts):
        return self.tags(self.net(counts))


def documents(n, rng):
    topics = (torch.rand(n, TOPICS, generator=rng) < 0.3).float()
    profile = torch.rand(TOPICS, VOCABULARY, generator=rng).pow(4) * 4
    rate = 0.4 + topics @ profile
    counts = torch.poisson(rate, generator=rng)
    return counts, topics


def f1(model, counts, topics):
    model.eval()
    with torch.no_grad():
        said = torch.sigmoid(model(counts)) > 0.5
    model.train()
    hit = (said & topics.bool()).sum().item()
    return 2 * hit / max(said.sum().item() + topics.sum().item(), 1)


def main(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    counts, topics = documents(1600, rng)
    counts = torch.log1p(counts)
    dev_counts, dev_topics = counts[1300:], topics[1300:]
    counts, topics = counts[:1300], topics[:1300]

    tagger = Tagger()
    criterion = nn.BCEWithLogitsLoss()
    optimiser = torch.optim.NAdam(tagger.parameters(), lr=3e-3)
    watch = watch_factory(tagger, optimiser)
    best = 0.0
    tagger.train()
    for epoch in range(7):
        for batch in torch.randperm(len(counts), generator=rng).split(32):
            optimiser.zero_grad()
            bag, wanted = counts[batch], topics[batch]
            said = tagger(bag)
            loss = criterion(said, wanted)
            loss.backward()
            optimiser.step()
            watch.step(loss=loss, batch=(bag, wanted))
        best = max(best, f1(tagger, dev_counts, dev_topics))
    return best


def train(watch_factory, seed):
    return {"quality": main(watch_factory, seed)}
