"""A walk through a closed vocabulary: always one of its sequences, and the one that greedy choice leads to."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from argusvl.core.errors import ModelError
from argusvl.detection.model.label_trie import LabelTrie

END = 0
SEQUENCES = st.lists(
    st.lists(st.integers(1, 5), max_size=5).map(lambda ids: (*ids, END)), min_size=1, max_size=12
)


def walk(trie: LabelTrie, logits: Tensor) -> Tensor:
    """Follows ``[steps, N, vocabulary]`` of given logits through a trie."""
    states = torch.zeros(logits.shape[1], dtype=torch.long)
    for step in range(trie.steps):
        _, states = trie.advance(logits[step], states, step)
    return trie.sequence[states]


def greedy_by_hand(sequences: list[tuple[int, ...]], scores: list[list[float]]) -> tuple[int, ...]:
    """Plain Python: at each step the best token among those that some remaining sequence has there."""
    left = sorted(set(sequences))
    for step in range(max(map(len, sequences))):
        if len(left) == 1:
            break
        token = max({s[step] for s in left}, key=lambda t: (scores[step][t], -t))
        left = [s for s in left if s[step] == token]
    return left[0]


@settings(max_examples=60, deadline=None)
@given(SEQUENCES, st.integers(0, 2**31))
def test_a_walk_is_the_greedy_choice_made_by_hand(sequences: list[tuple[int, ...]], seed: int) -> None:
    trie = LabelTrie.build(sequences)
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((max(trie.steps, 1), 7, 6), generator=generator)
    found = walk(trie, logits)
    for row, number in enumerate(found.tolist()):
        # Long after the last decision, the reference reads further scores; it must not need them.
        scores = logits[:, row].tolist() + [[0.0] * 6] * 6
        assert sequences[number] == greedy_by_hand(sequences, scores)
        assert number == sequences.index(sequences[number])  # of equal sequences the first


@settings(max_examples=40, deadline=None)
@given(SEQUENCES, st.integers(0, 2**31), st.sampled_from([float("nan"), float("inf"), -float("inf")]))
def test_broken_logits_are_survived(sequences: list[tuple[int, ...]], seed: int, broken: float) -> None:
    trie = LabelTrie.build(sequences)
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((max(trie.steps, 1), 9, 6), generator=generator)
    logits[torch.rand(logits.shape, generator=generator) < 0.6] = broken
    found = walk(trie, logits)
    assert ((found >= 0) & (found < len(sequences))).all()


def test_every_description_is_reached_by_its_own_tokens() -> None:
    rng = random.Random(0)
    sequences = [(*rng.choices(range(1, 30), k=rng.randint(0, 8)), END) for _ in range(300)]
    trie = LabelTrie.build(sequences)
    distinct = sorted(set(sequences))
    logits = torch.full((trie.steps, len(distinct), 30), -1.0)
    for row, sequence in enumerate(distinct):
        for step, token in enumerate(sequence[: trie.steps]):
            logits[step, row, token] = 1.0
    assert [sequences[n] for n in walk(trie, logits).tolist()] == distinct


def test_what_is_decided_is_not_decoded() -> None:
    assert LabelTrie.build([(1, 2, 3, END)]).steps == 0
    assert LabelTrie.build([(1, 2, 3, END), (1, 4, 3, 3, 3, END)]).steps == 2
    assert LabelTrie.build([(1, END), (1, 2, 2, 2, END)]).steps == 2


def test_a_description_that_another_begins_with_needs_an_end() -> None:
    with pytest.raises(ModelError, match="description 1 is the beginning of another one"):
        LabelTrie.build([(1, 2, 3), (1, 2)])
    with pytest.raises(ModelError, match="no description to choose from"):
        LabelTrie.build([])


def test_a_group_is_a_choice_of_its_own() -> None:
    sequences = [(1, 2, 9), (1, 3, 9), (4, 9), (1, 2, 9)]
    trie = LabelTrie.build(sequences, [[0, 1, 2], [2], [1, 3]])
    assert trie.sequence[:3].tolist() == [-1, 2, -1]  # the second group has nothing to decide
    logits = torch.zeros(3, 10)
    logits[:, 4], logits[:, 3] = 2.0, 1.0
    token, states = trie.advance(logits, torch.arange(3), 0)
    assert token.tolist()[0] == 4 and trie.sequence[states].tolist()[:2] == [2, 2]
    _, states = trie.advance(logits, states, 1)
    assert trie.sequence[states].tolist() == [2, 2, 1]  # 4 is not in the last group, 3 is
    with pytest.raises(ModelError, match="no description to choose from"):
        LabelTrie.build(sequences, [[0], []])
