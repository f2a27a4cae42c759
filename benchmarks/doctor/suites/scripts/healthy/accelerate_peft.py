"""PEFT's LoRA on a small GPT-2 of transformers, trained by an accelerate loop with accumulation."""

import torch
from accelerate import Accelerator
from peft import LoraConfig, TaskType, get_peft_model
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup

VOCAB, LENGTH = 32, 16


def counting(n, g, step):
    """Rows that count on by a step, modulo the vocabulary, with a few slips."""
    start = torch.randint(VOCAB, (n, 1), generator=g)
    rows = (start + step * torch.arange(LENGTH)) % VOCAB
    slips = torch.rand(rows.shape, generator=g) < 0.05
    return torch.where(slips, torch.randint(VOCAB, rows.shape, generator=g), rows)


def pretrained(g):
    """A base model that counts by one."""
    config = GPT2Config(vocab_size=VOCAB, n_positions=LENGTH, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0.0,
                        embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0)  # fmt: skip
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(150):
        ids = counting(16, g, step=1)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def collate(rows):
    ids = torch.stack(rows)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    peft_config = LoraConfig(
        task_type=TaskType.CAUSAL_LM, r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["c_attn", "c_fc"],
        fan_in_fan_out=True,
    )  # fmt: skip
    model = get_peft_model(pretrained(g), peft_config)
    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    loader = DataLoader(
        counting(1600, g, step=3), batch_size=8, shuffle=True, collate_fn=collate, generator=g
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=20, num_training_steps=400)
    model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, scheduler)
    watch = watch_factory(model, optimizer)
    model.train()
    for _epoch in range(2):
        for batch in loader:
            with accelerator.accumulate(model):
                outputs = model(**batch)
                accelerator.backward(outputs.loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                watch.step(loss=outputs.loss, batch=batch)
    model.eval()
    held_back = counting(100, g, step=3)
    with torch.no_grad():
        found = model(input_ids=held_back).logits[:, 1:-1].argmax(-1)
    return {"quality": (found == held_back[:, 2:]).float().mean().item()}
