"""An encoder and a decoder with recurrent layers, which turn sequences round (teacher forcing)."""

import torch
import torch.nn.functional as F
from torch import nn

PAD, BOS, EOS, VOCAB = 0, 1, 2, 16


class Encoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True)

    def forward(self, source):
        return self.rnn(self.embed(source))


class Decoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.out = nn.Linear(2 * dim, VOCAB)

    def forward(self, tokens, memory, state):
        hidden, state = self.rnn(self.embed(tokens), state)
        weights = torch.softmax(hidden @ memory.transpose(1, 2), dim=-1)
        return self.out(torch.cat([hidden, weights @ memory], dim=-1)), state


class Seq2Seq(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.encoder, self.decoder = Encoder(dim), Decoder(dim)

    def forward(self, source, decoder_input):
        memory, state = self.encoder(source)
        return self.decoder(decoder_input, memory, state)[0]

    @torch.no_grad()
    def translate(self, source, length):
        memory, state = self.encoder(source)
        token = torch.full((len(source), 1), BOS)
        written = []
        for _ in range(length):
            scores, state = self.decoder(token, memory, state)
            token = scores.argmax(-1)
            written.append(token)
        return torch.cat(written, dim=1)


def sentences(count, g):
    source = torch.randint(3, VOCAB, (count, 5), generator=g)
    target = torch.cat([torch.full((count, 1), BOS), source.flip(1), torch.full((count, 1), EOS)], dim=1)
    return source, target


def train(watch_factory, seed):
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    model = Seq2Seq()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    watch = watch_factory(model, optimizer)
    for _ in range(350):
        source, target = sentences(64, g)
        decoder_input, labels = target[:, :-1], target[:, 1:]
        logits = model(source, decoder_input)
        loss = F.cross_entropy(logits.reshape(-1, VOCAB), labels.reshape(-1), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        watch.step(loss=loss, batch={"source": source, "target": target})
    source, target = sentences(200, g)
    model.eval()
    return {"quality": (model.translate(source, 5) == target[:, 1:6]).float().mean().item()}
