"""BERT's masked language model: of 15 % of the tokens 80 % masked, 10 % random, 10 % kept; all other labels -100."""

import torch
import torch.nn as nn

PAD, MASK, WORDS, LENGTH = 0, 1, 30, 20


class BertForMaskedLM(nn.Module):
    def __init__(self, vocab_size=WORDS, hidden=64, layers=2):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, hidden, padding_idx=PAD)
        self.position_embeddings = nn.Embedding(LENGTH, hidden)
        self.norm, self.dropout = nn.LayerNorm(hidden), nn.Dropout(0.05)
        layer = nn.TransformerEncoderLayer(hidden, 4, 128, 0.05, "gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.transform = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.LayerNorm(hidden))
        self.decoder = nn.Linear(hidden, vocab_size)
        self.decoder.weight = self.word_embeddings.weight
        for embeddings in (self.word_embeddings, self.position_embeddings):
            nn.init.normal_(embeddings.weight, std=0.02)

    def forward(self, input_ids, attention_mask, labels=None):
        x = self.word_embeddings(input_ids) + self.position_embeddings(torch.arange(input_ids.shape[1]))
        x = self.encoder(self.dropout(self.norm(x)), src_key_padding_mask=~attention_mask)
        logits = self.decoder(self.transform(x))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.view(-1, WORDS), labels.view(-1), ignore_index=-100)
        return {"loss": loss, "logits": logits}


def sentences(n, g):
    """Set phrases of which one word in ten is another; their ends are cut off and padded."""
    phrases = torch.randint(2, WORDS, (8, LENGTH), generator=torch.Generator().manual_seed(4))
    ids = phrases[torch.randint(8, (n,), generator=g)]
    other = torch.rand(ids.shape, generator=g) < 0.1
    ids = torch.where(other, torch.randint(2, WORDS, ids.shape, generator=g), ids)
    lengths = torch.randint(12, LENGTH + 1, (n, 1), generator=g)
    return ids.masked_fill(torch.arange(LENGTH) >= lengths, PAD)


class DataCollatorForLanguageModeling:
    def __init__(self, generator, mlm_probability=0.15):
        self.generator, self.mlm_probability = generator, mlm_probability

    def __call__(self, examples):
        inputs = torch.stack(list(examples))
        g, labels, attention_mask = self.generator, inputs.clone(), inputs != PAD
        masked_indices = (torch.rand(labels.shape, generator=g) < self.mlm_probability) & attention_mask
        labels[~masked_indices] = -100  # We only compute loss on masked tokens
        replaced = (torch.rand(labels.shape, generator=g) < 0.8) & masked_indices
        inputs[replaced] = MASK
        random = (torch.rand(labels.shape, generator=g) < 0.5) & masked_indices & ~replaced
        inputs[random] = torch.randint(2, WORDS, labels.shape, generator=g)[random]
        return {"input_ids": inputs, "attention_mask": attention_mask, "labels": labels}


def train(watch_factory, seed):
    g = torch.Generator().manual_seed(seed)
    corpus, held_back = sentences(3000, g), sentences(300, g)
    collate = DataCollatorForLanguageModeling(g)
    loader = torch.utils.data.DataLoader(corpus, 32, shuffle=True, collate_fn=collate, generator=g)
    model = BertForMaskedLM()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=282, pct_start=0.1)
    watch = watch_factory(model, optimizer)
    for _epoch in range(3):
        for batch in loader:
            outputs = model(**batch)
            outputs["loss"].backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            watch.step(loss=outputs["loss"], batch=batch)
    model.eval()
    batch = collate(held_back)
    with torch.no_grad():
        found = model(batch["input_ids"], batch["attention_mask"])["logits"].argmax(-1)
    asked = batch["labels"] != -100
    return {"quality": (found == batch["labels"])[asked].float().mean().item()}
