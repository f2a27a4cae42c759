"""Gives a trained model the vocabulary of other texts: fast vocabulary transfer (Gee et al., 2022).

A tokenizer learned from the descriptions of one data set writes each in a few tokens, where a general one needs many:
conversations become shorter, captions easier to choose. What the model has learned is kept, since each new token starts
as the mean of the tokens that the model wrote it with before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional as F
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from argusvl.detection.data.sampling.tokenizer import token_id
from argusvl.detection.data.special_tokens import END_OF_TEXT, SPECIAL_TOKENS


def transfer_vocabulary(
    qwen: Qwen2_5_VLForConditionalGeneration, old: TokenizersBackend, new: TokenizersBackend
) -> None:
    """Replaces the model's vocabulary, in place.

    Rows of the embedding, and of the output layer where it is not tied to it, become the means of the rows of the old
    pieces; special tokens keep theirs. The ids in the configurations become those of the new tokenizer.

    Args:
        qwen: The stock model, which has been trained with ``old``.
        old: The model's own tokenizer, byte-level BPE.
        new: The tokenizer to use from here on, byte-level BPE.

    Raises:
        ModelError: A special token is missing from one of the tokenizers.
    """
    pieces = _pieces(old, new)
    offsets = torch.tensor([0, *itertools.accumulate(len(one) for one in pieces[:-1])])
    flat = torch.tensor([piece for one in pieces for piece in one])
    means = [
        F.embedding_bag(flat, layer.weight.detach().float().cpu(), offsets, mode="mean")
        for layer in _vocabulary_layers(qwen)
    ]
    qwen.resize_token_embeddings(len(new), mean_resizing=False)
    with torch.no_grad():
        for layer, rows in zip(_vocabulary_layers(qwen), means, strict=True):
            layer.weight.copy_(rows)
    embedding: Any = qwen.get_input_embeddings()
    if embedding.padding_idx is not None:  # of that row torch computes no gradient
        embedding.padding_idx = token_id(new, END_OF_TEXT)
    ids = {token_id(old, token): token_id(new, token) for token in SPECIAL_TOKENS}
    for owner in (qwen.config, qwen.config.text_config, qwen.generation_config):
        for name, value in list(_token_ids(owner)):
            setattr(
                owner,
                name,
                [ids[i] for i in value if i in ids] if isinstance(value, list) else ids.get(value),
            )


def _vocabulary_layers(qwen: Qwen2_5_VLForConditionalGeneration) -> tuple[Any, Any]:
    """What reads tokens and what writes them; both hold ``[tokens, width]``."""
    return qwen.get_input_embeddings(), qwen.get_output_embeddings()


def _pieces(old: TokenizersBackend, new: TokenizersBackend) -> list[list[int]]:
    """For each new token the old tokens that spell it."""
    spell = old.backend_tokenizer.model.tokenize
    pieces: list[list[int]] = [[]] * len(new)
    for token, number in new.get_vocab().items():
        # Both vocabularies write bytes as the same characters, so that even a part of a character has pieces.
        special = token in SPECIAL_TOKENS
        pieces[number] = [token_id(old, token)] if special else [piece.id for piece in spell(token)]
    return pieces


def _token_ids(owner: Any) -> Iterator[tuple[str, int | list[int]]]:
    for name, value in owner.to_dict().items():
        if name.endswith("token_id") and value is not None:
            yield name, value
