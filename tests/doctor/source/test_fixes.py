"""Edits that mend a script: they take the cause away, and nothing else changes."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from argusvl.doctor.source.fixes import mend
from argusvl.doctor.source.rules import RULES
from argusvl.doctor.source.tree import Tree
from doctor_bench.case import cases_of

LOOP = """
    import torch
    from torch import nn
    import torch.nn.functional as F

    def train(model, loader):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # as always
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
"""


def slugs(text: str) -> set[str]:
    tree = Tree(ast.parse(text))
    return {slug for rule in RULES for slug, *_ in rule(tree)}


@pytest.mark.parametrize(
    ("slug", "right", "wrong"),
    [
        ("wrong-sign", "loss = F.cross", "loss = -F.cross"),
        ("wrong-sign", "lr=0.1)", "lr=0.1, maximize=True)"),
        ("double-softmax", "F.cross_entropy(model(x), y)", "F.cross_entropy(model(x).softmax(1), y)"),
        ("missing-zero-grad", "        optimizer.zero_grad()\n", ""),
        ("missing-softmax", "F.cross_entropy(model(x), y)", "F.nll_loss(F.softmax(model(x), 1), y)"),
    ],
)
def test_the_cause_is_gone_and_the_rest_is_as_it_was(slug: str, right: str, wrong: str) -> None:
    text = dedent(LOOP)
    broken = text.replace(right, wrong)
    assert broken != text and slug in slugs(broken)
    mended = mend(broken, slug)
    assert mended is not None and slugs(mended) == set()
    assert "# as always" in mended
    assert abs(len(mended.splitlines()) - len(text.splitlines())) <= 1


@pytest.mark.parametrize("keyword", ["positions", "use_pos_embed", "pos_embedding"])
def test_places_that_were_switched_off_come_back_against_collapse(keyword: str) -> None:
    text = f"net = Net(width=32, {keyword}=False, bias=False)\n"
    assert mend(text, "mode-collapse") == f"net = Net(width=32, {keyword}=True, bias=False)\n"
    assert mend(f"net = Net({keyword}=True, position_ids=None, compose=False)\n", "mode-collapse") is None


def test_what_is_not_in_the_source_is_not_mended() -> None:
    text = dedent(LOOP)
    assert mend(text, "wrong-sign") is None
    assert mend(text, "input-bound") is None
    assert mend("def broken(:", "wrong-sign") is None


def test_a_rate_is_brought_back_by_what_the_first_steps_changed() -> None:
    mended = mend(dedent(LOOP), "learning-rate-too-high", {"first_update_ratio": 3.0})
    assert mended is not None and "lr=0.001)" in mended


def test_every_mended_script_of_the_benchmark_is_python() -> None:
    numbers = {
        "mean": 1.0,
        "std": 2.0,
        "training": [0.0, 1.0],
        "evaluation": [1.0, 2.0],
        "offset": 2,
        "column": 1,
    }
    for case in cases_of("dev"):
        if case.truth is not None:
            mended = mend(case.source(), case.truth.slug, numbers)
            assert mended is None or (mended != case.source() and ast.parse(mended))
