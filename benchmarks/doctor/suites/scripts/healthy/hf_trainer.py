"""``transformers.Trainer`` fine-tuning a tiny BERT classifier; the watch is told by a callback."""

import tempfile

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Tell(TrainerCallback):
    def __init__(self, watch_factory):
        self.watch_factory, self.watch, self.last = watch_factory, None, {}

    def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
        self.watch = self.watch_factory(model, optimizer)
        model.register_forward_hook(self.keep, with_kwargs=True)

    def keep(self, module, args, kwargs, output):
        if module.training:
            self.last = {"loss": output.loss.detach(), "batch": kwargs}

    def on_step_end(self, args, state, control, **kwargs):
        self.watch.step(**self.last)
        self.last = {}


def train(watch_factory, seed):
    rng = torch.Generator().manual_seed(seed)
    config = BertConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=3,
    )
    model = BertForSequenceClassification(config)

    def samples(n):
        ids = torch.randint(3, 40, (n, 12), generator=rng)
        labels = torch.randint(3, (n,), generator=rng)
        ids[torch.arange(n), torch.randint(12, (n,), generator=rng)] = labels
        return [
            {"input_ids": i, "attention_mask": torch.ones(12, dtype=torch.long), "labels": label}
            for i, label in zip(ids, labels, strict=True)
        ]

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=220,
            per_device_train_batch_size=32,
            learning_rate=3e-3,
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
            eval_strategy="steps",
            eval_steps=50,
            use_cpu=True,
            seed=seed,
            logging_steps=50,
        )
        trainer = Trainer(
            model,
            arguments,
            train_dataset=samples(2000),
            eval_dataset=samples(200),
            callbacks=[Tell(watch_factory)],
        )
        trainer.train()
        loss = trainer.evaluate()["eval_loss"]
    return {"quality": 1 - loss / 1.0986}
