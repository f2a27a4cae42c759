"""Type scores: one for each label in the order asked, by the label's own tokens, also for labels never trained on."""

from __future__ import annotations

from typing import Any

import torch

from argusvl.detection.model.type_score import TypeScorer


def scorer(kit: Any) -> tuple[TypeScorer, Any]:
    model = kit.model()
    return model.detection_head.type_scorer, model.get_input_embeddings()


def tokens(kit: Any, *labels: str, width: int = 0) -> torch.Tensor:
    rows = [kit.processor.encode(label) for label in labels]
    longest = max(width, *map(len, rows))
    return torch.tensor([row + [-100] * (longest - len(row)) for row in rows])


def test_a_permutation_of_the_vocabulary_permutes_the_logits(kit: Any) -> None:
    score, embed = scorer(kit)
    ids = tokens(kit, "挡风板", "标签贴纸", "螺丝", "a longer label of many tokens")
    queries = torch.randn(2, 5, 32)
    logits = score(queries, score.encode_labels(ids, embed))
    order = torch.tensor([2, 0, 3, 1])
    permuted = score(queries, score.encode_labels(ids[order], embed))
    torch.testing.assert_close(permuted, logits[..., order])
    assert logits.std(-1).min() > 1e-3


def test_a_label_scores_the_same_beside_others_and_whatever_pads_it(kit: Any) -> None:
    score, embed = scorer(kit)
    queries = torch.randn(7, 32)
    alone = score(queries, score.encode_labels(tokens(kit, "螺丝"), embed))
    beside = score(queries, score.encode_labels(tokens(kit, "never seen before", "螺丝", width=30), embed))
    torch.testing.assert_close(beside[:, 1:], alone)
    assert not torch.allclose(beside[:, :1], alone)


def test_scores_are_bounded_whatever_the_temperature(kit: Any) -> None:
    score, embed = scorer(kit)
    ids = tokens(kit, "螺丝", "标签")
    with torch.no_grad():
        score.log_scale.fill_(50.0)
    assert score(1e3 * torch.randn(9, 32), score.encode_labels(ids, embed)).abs().max() <= 100 + 1e-3


def test_an_empty_vocabulary_gives_no_scores(kit: Any) -> None:
    score, embed = scorer(kit)
    labels = score.encode_labels(torch.zeros(0, 1, dtype=torch.long), embed)
    assert score(torch.randn(2, 3, 32), labels).shape == (2, 3, 0)


def test_labels_of_the_same_tokens_are_told_apart_by_their_order(kit: Any) -> None:
    score, embed = scorer(kit)
    ids = tokens(kit, "12", "21", "7")
    mean = score.encode_labels(ids, embed)
    torch.testing.assert_close(mean[0], mean[1])  # what the order is for
    score.in_order = True
    ordered = score.encode_labels(ids, embed)
    assert not torch.allclose(ordered[0], ordered[1], atol=1e-2)
    torch.testing.assert_close(ordered[2], mean[2])
    torch.testing.assert_close(score.encode_labels(tokens(kit, "12", width=9), embed)[0], ordered[0])
