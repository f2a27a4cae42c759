"""Edits that mend a script: they take the cause away, and nothing else changes."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from argus_doctor.errors import ArgusError
from argus_doctor.findings import catalogue
from argus_doctor.lint import Script
from argus_doctor.lint.edits import Edits
from argus_doctor.lint.fixes import as_diff, mend, place
from argus_doctor.lint.rules import hits
from argus_doctor.lint.tree import Tree
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
    return {slug for slug, *_ in hits(Tree(ast.parse(text)))}


BEGIN = "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\nfor x, y in data:\n"
STEP = "    loss.backward()\n    optimizer.step()\n"
MODES = f"model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1))\n{BEGIN}"
MODES_END = "    x = x * 2\n    loss = F.l1_loss(model(x), y)\n    loss.backward()\n    model.eval()\n"


@pytest.mark.parametrize(
    ("slug", "wrong", "right"),
    [
        (
            "double-softmax",
            "s = F.softmax(model(x), 1)\n    F.cross_entropy(s, y)",
            "s = model(x)\n    F.cross_entropy(s, y)",
        ),
        (
            "double-softmax",
            "F.cross_entropy((model(x)).softmax(1), y)  # so",
            "F.cross_entropy(model(x), y)  # so",
        ),
        (
            "missing-softmax",
            "F.nll_loss(F.softmax(model(x), 1), y)",
            "F.nll_loss(F.log_softmax(model(x), 1), y)",
        ),
        ("graph-kept", "total += loss", "total += loss.detach()"),
        ("graph-kept", "kept.append(loss)", "kept.append(loss.detach())"),
        ("graph-kept", "k = k + loss", "k = k + loss.detach()"),
        ("non-finite-loss", "torch.log(torch.softmax(model(x), 1))", "torch.log_softmax(model(x), 1)"),
        ("non-finite-loss", "(model(x) / 2).softmax(1).log()[y]", "(model(x) / 2).log_softmax(1)[y]"),
    ],
)
def test_an_edit_takes_the_cause_away_and_changes_nothing_else(slug: str, wrong: str, right: str) -> None:
    broken, whole = (f"{BEGIN}    {line}\n{STEP}" for line in (wrong, right))
    assert mend(broken, slug) == whole and slug not in slugs(whole)


def test_an_edit_puts_the_steps_of_a_loop_in_order() -> None:
    cleared = f"{BEGIN}    loss.backward()\n    optimizer.zero_grad()\n    optimizer.step()\n"
    first = f"{BEGIN}    optimizer.zero_grad()\n    loss.backward()\n    pass\n    optimizer.step()\n"
    assert mend(cleared, "no-gradient") == first
    assert mend(MODES + MODES_END, "training-in-evaluation-mode") == f"{MODES}    model.train()\n{MODES_END}"


@pytest.mark.parametrize(
    "head",
    [
        "if z: continue\n    else",
        "try: f()\n    except E",
        "try: f()\n    except E: pass\n    else",
        "try: f()\n    finally",
        "for z in y: f()\n    else",
    ],
)
def test_gradients_are_cleared_in_whatever_block_the_backward_pass_is(head: str) -> None:
    start, step = f"{BEGIN}    {head}:\n", STEP.replace("    ", "        ")
    assert mend(start + step, "missing-zero-grad") == f"{start}        optimizer.zero_grad()\n{step}"


FORWARD = "class Net(nn.Module):\n    def forward(self, z):\n        q = self.code(z)\n        "


@pytest.mark.parametrize(
    "text",
    [
        FORWARD + "return z + (q - z).detach()\n",  # straight-through
        FORWARD + "return 2 * (q - z).detach()\n",
        FORWARD + "with torch.no_grad():\n            k = self.teacher(z)\n        return q, k\n",
        FORWARD + "return torch.sigmoid(q) * z\n",  # a gate
        FORWARD + "return torch.softmax(q @ z.mT, -1) @ z\n",  # attention
        FORWARD + "a = torch.softmax(q, -1)\n        self.seen = a\n        return F.cross_entropy(a, z)\n",
        "for p, e in zip(a, b):\n    e.data.mul_(0.99).add_(p.data, alpha=0.01)\n",  # a moving average
        "nn.init.constant_(model.gate.bias, -4.0)\nmodel.ema.weight.data.copy_(model.head.weight)\n",
        "order = torch.arange(len(x))\nfor i in order:\n    loss = F.cross_entropy(model(x[i]), x[order])\n",
        "loader = DataLoader(train_set, shuffle=False, batch_size=1)  # a stream\n",
        "loss = F.cross_entropy(model(x), y) + 1e-3 * penalty\nloss.backward()\n",
        "loss = -F.cross_entropy(domain(model(x)), d)  # adversarial\nloss.backward()\n",
        "optimizer = torch.optim.SGD(model.parameters(), lr=10.0, weight_decay=0.5)\n",
        "loss = (p.log() * w.sqrt()).sum()\nloss.backward()\n",
        # A step every fourth batch; another's gradients; a graph that is retained; a loss that is minimised later.
        "opt = SGD(model.parameters())\nfor k, x in data:\n    loss = f(x)\n    loss.backward()\n"
        "    if k % 4 == 3:\n        opt.step()\n",
        "for x in data:\n    loss = f(x)\n    loss.backward()\n    optD.zero_grad()\n    optG.step()\n",
        "for x in data:\n    loss = f(x)\n    loss.backward(retain_graph=True)\n    total += loss\n",
        "for x in data:\n    loss = f(x)\n    losses.append(loss)\ntorch.stack(losses).mean().backward()\n",
        # A target in a step, and a teacher that is meant to stay as it is.
        "opt = SGD(model.parameters())\nfor x, n in data:\n    opt.zero_grad()\n    with torch.no_grad():\n"
        "        target = model(n)  # Dropout\n    loss = f(model(x), target)\n    loss.backward()\n    opt.step()\n",
        "opt = SGD(model.parameters())\nfor x in data:\n    teacher.eval()\n    loss = f(model(x), teacher(x))\n"
        "    opt.zero_grad()\n    loss.backward()\n    opt.step()\n",
        # Probabilities that others read; a loss that is a number by the time it is kept.
        "for x, y in loader:\n    optimizer.zero_grad()\n    probabilities = F.softmax(model(x), 1)\n"
        "    loss = F.nll_loss(probabilities.log(), y) + entropy(probabilities)\n    loss.backward()\n"
        "    optimizer.step()\n",
        "for x, y in loader:\n    optimizer.zero_grad()\n    loss = criterion(model(x), y)\n    loss.backward()\n"
        "    optimizer.step()\n    loss = loss.item()\n    losses.append(loss)\n",
        "def update(teacher, student):\n    with torch.no_grad():\n"
        "        for slow, fast in zip(teacher.parameters(), student.parameters()):\n"
        "            slow.mul_(0.9).add_(fast, alpha=0.1)\n",
        "loss = 1e-3 * reconstruction(z) + torch.sigmoid(gate) * F.mse_loss(a, b)\n",
    ],
)
def test_what_could_be_meant_is_left_as_it_is(text: str) -> None:
    ast.parse(text)
    assert [slug for slug in catalogue() if mend(text, slug) is not None] == []


def test_what_is_not_in_the_source_is_not_mended() -> None:
    text = dedent(LOOP)
    assert mend(text, "wrong-sign") is None
    assert mend(text, "input-bound") is None
    assert mend("def broken(:", "double-softmax") is None


def test_a_cause_without_a_safe_edit_has_a_place() -> None:
    tree, turned = (Tree(ast.parse(dedent(text))) for text in (LOOP, LOOP.replace("= F.", "= -F.")))
    assert place(tree, "learning-rate-too-high") == 7
    assert place(turned, "wrong-sign") == 10
    assert place(tree, "input-bound") is None


def test_every_mended_script_of_the_benchmark_is_python() -> None:
    mended = [mend(case.source(), case.truth.slug) for case in cases_of("dev") if case.truth is not None]
    assert sum(one is not None for one in mended) >= 7
    for one in filter(None, mended):
        ast.parse(one)


def test_comments_and_blanks_stay_where_they_are() -> None:
    text = dedent(LOOP).replace("        optimizer.zero_grad()\n", "")
    text = text.replace(
        "        loss.backward()", "        # the gradients\n\n        loss.backward()  # all of them"
    )
    mended = mend(text, "missing-zero-grad")
    assert mended is not None
    added = [line for line in mended.splitlines() if line not in text.splitlines()]
    assert added == ["        optimizer.zero_grad()"]
    assert [line for line in mended.splitlines() if line not in added] == text.splitlines()


def test_without_libcst_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libcst", None)
    with pytest.raises(ArgusError, match="LibCST") as raised:
        Edits("x = 1\n")
    assert "argus-doctor[lint]" in (raised.value.remedy or "")


def test_what_shares_a_line_with_the_fault_is_not_lost() -> None:
    text = (
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\nfor x, y in data:\n    loss = f(model(x), y)\n"
        "    loss.backward()\n    optimizer.zero_grad(); seen += len(x)\n    optimizer.step()\n"
    )
    assert "no-gradient" in slugs(text) and mend(text, "no-gradient") is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.parametrize("end", ["", "\n", "\n\n    seen = '\x0c'\n"])
@pytest.mark.parametrize("feed", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["train.py", "my train.py"])
def test_a_diff_can_be_applied(name: str, end: str, feed: str, tmp_path: Path) -> None:
    text = (
        "opt = torch.optim.SGD(model.parameters(), 0.1)\n\x0c\nfor x in data:\n    loss = f(x)\n\n"
        f"    loss.backward()\n    opt.step(){end}"
    )
    (tmp_path / name).write_bytes(text.replace("\n", feed).encode())
    text = Script.read(tmp_path / name).text
    mended = mend(text, "missing-zero-grad")
    assert mended is not None and mended.count(feed) == mended.count("\n")
    diff = as_diff(text, mended, name).encode()
    assert diff.startswith(b"--- a/train.py\n" if name == "train.py" else b"--- a/my train.py\t\n")
    subprocess.run(["git", "apply", "-"], input=diff, cwd=tmp_path, check=True)
    assert (tmp_path / name).read_bytes() == mended.encode()
