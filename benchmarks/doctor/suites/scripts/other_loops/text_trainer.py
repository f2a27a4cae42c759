"""A classifier of short texts, trained by a Trainer of its own in the manner of libraries."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class TrainingArguments:
    num_train_epochs: int = 5
    per_device_train_batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    eval_steps: int = 25


class TextClassifier(nn.Module):
    def __init__(self, vocab_size=60, hidden_size=48, num_labels=4, dropout=0.4):
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, hidden_size)
        layer = nn.TransformerEncoderLayer(hidden_size, 4, 96, dropout=dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden_size, num_labels)
        self.loss_fct = nn.CrossEntropyLoss()

    def forward(self, input_ids, labels=None):
        pooled = self.encoder(self.embeddings(input_ids)).mean(dim=1)
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else self.loss_fct(logits, labels)
        return {"loss": loss, "logits": logits}


class Trainer:
    def __init__(self, model, args, train_dataset, eval_dataset, watch_factory, generator):
        self.model, self.args, self.generator = model, args, generator
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        decay = [p for n, p in model.named_parameters() if "bias" not in n and "norm" not in n]
        rest = [p for n, p in model.named_parameters() if "bias" in n or "norm" in n]
        groups = [{"params": decay, "weight_decay": args.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=args.learning_rate)
        self.watch = watch_factory(model, self.optimizer)
        self.global_step = 0

    def batches(self):
        order = torch.randperm(len(self.train_dataset[0]), generator=self.generator)
        for index in order.split(self.args.per_device_train_batch_size):
            yield {"input_ids": self.train_dataset[0][index], "labels": self.train_dataset[1][index]}

    def training_step(self, inputs):
        loss = self.model(**inputs)["loss"]
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def train(self):
        self.model.train()
        for _ in range(self.args.num_train_epochs):
            for inputs in self.batches():
                loss = self.training_step(inputs)
                self.global_step += 1
                self.watch.step(loss=loss, batch=inputs)
                if self.global_step % self.args.eval_steps == 0:
                    self.evaluate()
                    self.model.train()

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        input_ids, labels = self.eval_dataset
        logits = self.model(input_ids)["logits"]
        return {"eval_accuracy": (logits.argmax(-1) == labels).float().mean().item()}


def make_texts(count, g):
    labels = torch.randint(4, (count,), generator=g)
    input_ids = torch.randint(60, (count, 12), generator=g)
    topical = torch.randint(10, (count, 12), generator=g) + 10 * labels[:, None]
    return torch.where(torch.rand(count, 12, generator=g) < 0.25, topical, input_ids), labels


def train(watch_factory, seed):
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    model = TextClassifier()
    trainer = Trainer(model, TrainingArguments(), make_texts(1000, g), make_texts(300, g), watch_factory, g)
    trainer.train()
    return {"quality": trainer.evaluate()["eval_accuracy"]}
