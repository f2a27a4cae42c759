"""Gives a trained model the vocabulary of other texts: fast vocabulary transfer (Gee et al., 2022).

A tokenizer learned from the descriptions of one data set writes each in a few tokens, where a general one needs many:
conversations become shorter, captions easier to choose. What the model has learned is kept, since each new token starts
as the mean of the tokens that the model wrote it with before.

A token that no text of its training used is another matter: where the embedding is tied to the output layer, the
softmax pushes all such rows the same way, until they are one vector (representation degeneration: Gao et al., 2019,
arXiv 1907.12009). In argus-tiny those are 4,570 of 4,690, all of English among them. Two labels of such tokens are the
same to the head, and it took hundreds of steps to tell them apart again: they are drawn anew.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from argusvl.detection.data.sampling.tokenizer import token_id
from argusvl.detection.data.special_tokens import END_OF_TEXT, SPECIAL_TOKENS

SAME = 0.9
"""Cosine with the mean direction of all rows from which a row says nothing of its own: rows that learned something have
-0.3 to 0.8, those that are one vector 0.99."""


def transfer_vocabulary(
    qwen: Qwen2_5_VLForConditionalGeneration, old: TokenizersBackend, new: TokenizersBackend
) -> None:
    """Replaces the model's vocabulary, in place; both tokenizers are byte-level BPE.

    Rows of the embedding, and of the output layer where it is not tied to it, become the means of the rows of the
    old pieces, special tokens keep theirs, and of both those that were never learned are drawn anew. The ids in the
    configurations become those of the new tokenizer.

    Raises:
        ModelError: A special token is missing from one of the tokenizers.
    """
    pieces = _pieces(old, new)
    offsets = torch.tensor([0, *itertools.accumulate(len(one) for one in pieces[:-1])])
    flat = torch.tensor([piece for one in pieces for piece in one])
    means = [_means(layer.weight.detach().float().cpu(), flat, offsets) for layer in _vocabulary_layers(qwen)]
    qwen.resize_token_embeddings(len(new), mean_resizing=False)
    with torch.no_grad():
        for layer, rows in zip(_vocabulary_layers(qwen), means, strict=True):
            layer.weight.copy_(rows)
    embedding: Any = qwen.get_input_embeddings()
    if embedding.padding_idx is not None:  # of that row torch computes no gradient
        embedding.padding_idx = token_id(new, END_OF_TEXT)
    ids = {token_id(old, token): token_id(new, token) for token in SPECIAL_TOKENS}
    owners: tuple[Any, ...] = (qwen.config, qwen.config.text_config, qwen.generation_config)
    for owner in owners:
        for name, value in owner.to_dict().items():
            if name.endswith("token_id") and value is not None:
                known = [ids[i] for i in value if i in ids] if isinstance(value, list) else ids.get(value)
                setattr(owner, name, known)


def _vocabulary_layers(qwen: Qwen2_5_VLForConditionalGeneration) -> tuple[Any, Any]:
    """What reads tokens and what writes them; both hold ``[tokens, width]``."""
    return qwen.get_input_embeddings(), qwen.get_output_embeddings()


def _means(rows: Tensor, flat: Tensor, offsets: Tensor) -> Tensor:
    """The mean of each bag of ``rows`` ``[V, D]``; drawn where all of it was never learned."""
    means = F.embedding_bag(flat, rows, offsets, mode="mean")
    common = F.normalize(rows, dim=1).mean(0)
    unlearned = F.cosine_similarity(means, common, dim=1) > SAME
    learned = rows[F.cosine_similarity(rows, common, dim=1) <= SAME]
    if len(learned):
        # As long as those beside them; the same for each layer, so that tied ones stay so, and for each run.
        drawn = torch.randn(means.shape, generator=torch.Generator().manual_seed(0))
        length = learned.norm(dim=1).median() / means.shape[1] ** 0.5
        means[unlearned] = length * drawn[unlearned]
    return means


def _pieces(old: TokenizersBackend, new: TokenizersBackend) -> list[list[int]]:
    """For each new token the old tokens that spell it."""
    spell = old.backend_tokenizer.model.tokenize
    pieces: list[list[int]] = [[]] * len(new)
    for token, number in new.get_vocab().items():
        # Both vocabularies write bytes as the same characters, so that even a part of a character has pieces.
        special = token in SPECIAL_TOKENS
        pieces[number] = [token_id(old, token)] if special else [piece.id for piece in spell(token)]
    return pieces
