"""What mends a script: for a finding, the smallest edit of the source that takes its cause away.

A fix is a proposal. Where its cause shows in the source, the rule that found it is asked again; whether training is
better for it is for a run with and without it to say.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable
from pathlib import Path

from argusvl.doctor.source.edits import Edits
from argusvl.doctor.source.fixes import data, loop, loss, optimizer, weights
from argusvl.doctor.source.fixes.names import Numbers
from argusvl.doctor.source.rules import RULES
from argusvl.doctor.source.tree import Tree

Fix = Callable[[Tree, Edits, Numbers], None]


def mend(text: str, slug: str, numbers: Numbers | None = None) -> str | None:
    """The mended script; ``None`` where the cause is not in the source, or no edit of it is known.

    Args:
        text: The script.
        slug: Of the finding.
        numbers: Of the finding.
    """
    fix = FIXES.get(slug)
    if fix is None:
        return None
    try:
        tree = Tree(ast.parse(text))
    except SyntaxError:
        return None
    edits = Edits(text)
    fix(tree, edits, numbers or {})
    mended = edits.apply()
    if mended is None:
        return None
    before = {hit[0] for rule in RULES for hit in rule(tree)}
    after = {hit[0] for rule in RULES for hit in rule(Tree(ast.parse(mended)))}
    return None if (slug in before and slug in after) or after - before else mended


def place(text: str, slug: str, numbers: Numbers | None = None) -> int | None:
    """The line that a fix changes first: where a cause sits that shows only at run time."""
    if slug not in FIXES:
        return None
    edits = Edits(text)
    FIXES[slug](Tree(ast.parse(text)), edits, numbers or {})
    return edits.first_line


def as_diff(text: str, mended: str, path: Path | str) -> str:
    """The change as a unified diff."""
    lines = difflib.unified_diff(
        text.splitlines(keepends=True), mended.splitlines(keepends=True), f"a/{path}", f"b/{path}", n=2
    )
    return "".join(lines)


def _answers_apart(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    weights.positions(tree, edits, numbers)
    optimizer.decay(tree, edits, numbers)


FIXES: dict[str, Fix] = {
    "missing-zero-grad": loop.zero_grad,
    "wrong-sign": loss.sign,
    "double-softmax": loss.single_softmax,
    "missing-softmax": loss.log_softmax,
    "evaluation-in-training-mode": loop.evaluate,
    "training-in-evaluation-mode": loop.train_mode,
    "no-gradient": loop.graph,
    "graph-kept": loop.detached_losses,
    "stale-optimizer": optimizer.later_optimizer,
    "missing-freeze": optimizer.freeze,
    "learning-rate-too-high": optimizer.rate,
    "learning-rate-too-low": optimizer.rate,
    "learning-rate-vanished": loop.schedule,
    "not-in-optimizer": optimizer.whole_model,
    "accidental-freeze": optimizer.thaw,
    "inputs-not-normalised": data.standardise,
    "inputs-normalised-twice": data.standardise,
    "evaluation-inputs-differ": data.same_preparation,
    "non-finite-input": data.finite_inputs,
    "data-not-shuffled": data.shuffle,
    "loss-broadcast": loss.squeeze,
    "bad-initialisation": weights.default_initialisation,
    "dead-units": weights.default_initialisation,
    "exploding-gradient": weights.smaller,
    "vanishing-gradient": weights.rectify,
    "non-finite-loss": loss.safe_domain,
    "wrong-loss": loss.classes,
    "labels-unrelated": data.one_order,
    "update-lost": weights.full_precision,
    "zero-gradient": weights.one_random_factor,
    "objective-starved": loss.balance,
    "mode-collapse": _answers_apart,
    "labels-shifted": loss.shift,
    "target-in-inputs": data.blank_column,
}
"""Slug → what changes the script."""
