"""What mends a script: for a finding, the smallest edit of the source that takes its cause away.

Only edits that cannot change what a model computes: they put back what is missing in the loop, or take out what nobody
else reads. For every other cause there is advice in words, and :func:`place` says where to look.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable
from pathlib import Path

from argus_doctor.lint.edits import Edits, lines_of
from argus_doctor.lint.rules import (
    MODES,
    NEEDS_BINARY_SCORES,
    NEEDS_LOGARITHMS,
    NEEDS_SCORES,
    OPTIMIZERS,
    SOFT,
    hits,
)
from argus_doctor.lint.tree import Function, Tree, base, last, without_gradients

Fix = Callable[[Tree, Edits], None]

_FUNCTIONAL = ("F", "torch", "nn.functional", "torch.nn.functional")


def mend(text: str, slug: str) -> str | None:
    """The mended script; ``None`` where the cause is not in the source, or no edit of it is safe.

    Args:
        text: The script.
        slug: Of the finding.
    """
    fix = FIXES.get(slug)
    if fix is None:
        return None
    try:
        tree = Tree(ast.parse(text))
    except SyntaxError:
        return None
    edits = Edits(text)
    fix(tree, edits)
    mended = edits.apply()
    if mended is None:
        return None
    before, after = ({found for found, _, _ in hits(one)} for one in (tree, Tree(ast.parse(mended))))
    return None if (slug in before and slug in after) or after - before else mended


def place(tree: Tree, slug: str, where: str = "") -> int | None:
    """The line where a cause sits that shows only at run time: of a rule that suspects it, or of what it is about.

    Args:
        tree: Of the script.
        slug: Of the finding.
        where: What the finding says of its place, in words.
    """
    suspected = [node.lineno for found, node, _ in hits(tree) if found == slug]
    if not suspected and slug in _ABOUT_THE_LOSS:
        suspected = [node.lineno for node in tree.calls() if tree.loss_of(node) is not None]
    if not suspected and (names := _ABOUT.get(where) or _ABOUT.get(slug)):
        suspected = [call.lineno for call in tree.calls(*names)]
    return next(iter(suspected), None)


def as_diff(text: str, mended: str, path: Path | str) -> str:
    """The change as a unified diff, as ``git apply`` takes it."""
    before, after = lines_of(text), lines_of(mended)
    # A tab ends the name of a file whose name has a space: patch would take its first word.
    name = f"{path}\t" if " " in str(path) else path
    lines = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", n=2)
    return "".join(one if one.endswith("\n") else f"{one}\n\\ No newline at end of file\n" for one in lines)


def zero_grad(tree: Tree, edits: Edits) -> None:
    """``zero_grad`` before the one backward pass of a script that clears nothing and steps after each pass."""
    backwards = tree.calls("backward")
    if len(backwards) != 1 or tree.calls("zero_grad") or tree.loop(backwards[0]) is None:
        return
    statement = tree.statement(backwards[0])
    # A step under a condition may be meant to add up the gradients of several passes.
    steps = {base(call.func) for one in _following(tree, statement) for call in _called_by(one, "step")}
    made = {ast.unparse(node.targets[0]) for node, _ in tree.made(*OPTIMIZERS)}
    if len(steps & made) == 1:
        edits.insert_before(statement, f"{next(iter(steps & made))}.zero_grad()")


def clearing_first(tree: Tree, edits: Edits) -> None:
    """Gradients are cleared before the backward pass, and not between it and the step that needs them."""
    for backward in tree.calls("backward"):
        statement = tree.statement(backward)
        cleared: dict[str, ast.stmt] = {}
        for one in _following(tree, statement):
            if tree.calls("backward", within=one):
                break
            cleared |= {base(call.func): one for call in _called_by(one, "zero_grad")}
            for call in _called_by(one, "step"):
                late = cleared.pop(base(call.func), None)
                if late is not None:
                    edits.insert_before(statement, edits.written(late))
                    edits.replace_statement(late, "pass")  # for it may be the only one of a block


def evaluate(tree: Tree, edits: Edits) -> None:
    """``eval`` before an evaluation and ``train`` after it, in a script that sets no mode of its own."""
    if tree.calls("eval") or any(call.args or call.keywords for call in tree.calls("train")):
        return
    # Only in a script that trains that very model, and whose layers differ in training.
    trained, written = _trained(tree), ast.unparse(tree.module)
    if len(trained) != 1 or not tree.calls("backward") or not any(one in written for one in MODES):
        return
    for node in filter(without_gradients, ast.walk(tree.module)):
        if isinstance(node, ast.With):
            names = _models_called(tree, node)
            leaves = any(tree.nodes(ast.Return, ast.Break, ast.Continue, ast.Yield, within=node))
            if set(names) == trained and not leaves and not _is_in_a_step(tree, node):
                edits.insert_before(node, f"{names[0]}.eval()")
                edits.insert_after(node, f"{names[0]}.train()")
        elif isinstance(node, ast.FunctionDef):
            names = _models_called(tree, node)
            returns = list(tree.nodes(ast.Return, within=node))
            used = tree.calls(node.name)
            if len(names) != 1 or not used or any(_is_in_a_step(tree, call) for call in used):
                continue
            if len(returns) == 1 and returns[0] is node.body[-1] and returns[0].value is not None:
                edits.insert_before(_first(node), f"{names[0]}.eval()")
                result = f"result = {edits.written(returns[0].value)}"
                edits.replace_statement(returns[0], result, f"{names[0]}.train()", "return result")


def train_mode(tree: Tree, edits: Edits) -> None:
    """``train`` at the head of the loop, of a model that is trained and of which no part is put into ``eval`` alone."""
    backwards = tree.calls("backward")
    loop = tree.loop(backwards[0]) if len(backwards) == 1 else None
    trained = _trained(tree)
    evals = tree.calls("eval")
    if loop is None or len(trained) != 1 or not evals or any(base(c.func) for c in tree.calls("train")):
        return
    if not any(one in ast.unparse(tree.module) for one in MODES):
        return
    (model,) = trained
    for call in evals:
        function = tree.function(call)
        arguments = [] if function is None else [one.arg for one in function.args.args]
        if base(call.func) != model and base(call.func) not in arguments:
            return
    if model in {ast.unparse(call.func) for call in tree.calls(within=loop)}:
        edits.insert_before(loop.body[0], f"{model}.train()")


def scores(tree: Tree, edits: Edits) -> None:
    """Scores go into the loss as they are, where nobody else reads what the activation gives."""
    for activation, loss in _activations(tree):
        wrong = SOFT if loss in NEEDS_SCORES else {"sigmoid"} if loss in NEEDS_BINARY_SCORES else set()
        inner = _argument(activation)
        if last(activation.func) in wrong and inner is not None:
            edits.replace(activation, edits.written(inner))


def logarithms(tree: Tree, edits: Edits) -> None:
    """A log-likelihood is given logarithms, where nobody else reads the probabilities."""
    for activation, loss in _activations(tree):
        if loss in NEEDS_LOGARITHMS and last(activation.func) == "softmax":
            edits.replace(activation, edits.renamed(activation, "log_softmax"))


def logarithm_of_softmax(tree: Tree, edits: Edits) -> None:
    """The logarithm of a softmax in one: the same number, and finite."""
    for call in tree.calls("log"):
        inner = call.args[0] if base(call.func) == "torch" and len(call.args) == 1 else None
        if isinstance(call.func, ast.Attribute) and not call.args and not call.keywords:
            inner = call.func.value
        if isinstance(inner, ast.Call) and last(inner.func) == "softmax" and _argument(inner) is not None:
            edits.replace(call, edits.renamed(inner, "log_softmax"))


def detached_losses(tree: Tree, edits: Edits) -> None:
    """What is kept of a loss is kept without its graph, which the backward pass has freed: nobody can go through it."""
    for backward in tree.calls("backward"):
        name, loop = base(backward.func), tree.loop(backward)
        if loop is None or backward.args or backward.keywords:  # a graph that is retained may be used again
            continue
        if not isinstance(tree.parent.get(tree.statement(backward)), ast.For | ast.While):
            continue  # not at every turn
        named = (one for one in tree.nodes(ast.Name, within=loop) if one.id == name)
        if sum(isinstance(one.ctx, ast.Store) for one in named) > 1:
            continue  # it may be a number by then
        for node in ast.walk(loop):
            kept: ast.expr | None = None
            if isinstance(node, ast.Call) and last(node.func) == "append" and len(node.args) == 1:
                kept = node.args[0]
            elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
                kept = node.value if ast.unparse(node.target) != name else None
            elif (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.BinOp)
                and isinstance(node.value.op, ast.Add)
            ):
                target, sides = ast.unparse(node.targets[0]), [node.value.left, node.value.right]
                others = [one for one in sides if ast.unparse(one) != target]
                kept = others[0] if len(others) == 1 and target != name else None
            if kept is not None and ast.unparse(kept) == name:
                edits.replace(kept, f"{name}.detach()")


FIXES: dict[str, Fix] = {
    "missing-zero-grad": zero_grad,
    "no-gradient": clearing_first,
    "evaluation-in-training-mode": evaluate,
    "training-in-evaluation-mode": train_mode,
    "double-softmax": scores,
    "missing-softmax": logarithms,
    "non-finite-loss": logarithm_of_softmax,
    "graph-kept": detached_losses,
}
"""Slug → what changes the script."""

_INITIALISERS = ("constant_", "zeros_", "ones_", "normal_", "uniform_")
_ABOUT: dict[str, tuple[str, ...]] = {
    "learning-rate-too-high": tuple(OPTIMIZERS),
    "learning-rate-too-low": tuple(OPTIMIZERS),
    "not-in-optimizer": tuple(OPTIMIZERS),
    "weight decay": tuple(OPTIMIZERS),
    "data-not-shuffled": ("DataLoader", "arange"),
    "non-finite-loss": ("log", "sqrt"),
    "accidental-freeze": ("requires_grad_",),
    "bad-initialisation": _INITIALISERS,
    "dead-units": _INITIALISERS,
    "exploding-gradient": _INITIALISERS,
}
"""Place in words, or slug → calls of which the first is looked at where no rule suspects a line."""
_ABOUT_THE_LOSS = ("wrong-loss", "labels-shifted", "loss-broadcast")


def _trained(tree: Tree) -> set[str]:
    """Names of what the optimizers get the parameters of."""
    optimizers = tree.calls(*OPTIMIZERS)
    return {base(call.func) for made in optimizers for call in tree.calls("parameters", within=made)}


def _first(function: ast.FunctionDef) -> ast.stmt:
    """The first statement after the docstring."""
    documented = ast.get_docstring(function) is not None and len(function.body) > 1
    return function.body[1 if documented else 0]


def _following(tree: Tree, statement: ast.stmt) -> list[ast.stmt]:
    """What comes after a statement in its block, which may be an ``else`` or a ``finally``."""
    fields = (value for _, value in ast.iter_fields(tree.parent[statement]) if isinstance(value, list))
    block = next(one for one in fields if statement in one)
    return block[block.index(statement) + 1 :]


def _called_by(statement: ast.stmt, name: str) -> list[ast.Call]:
    """The call that a statement is, where it is one of this name."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return [call] if isinstance(call, ast.Call) and last(call.func) == name else []


def _models_called(tree: Tree, node: ast.AST) -> list[str]:
    """Names that are called in it and whose parameters, or modes, the script speaks of; or its own argument."""
    called = {ast.unparse(call.func) for call in tree.calls(within=node)}
    known = {base(call.func) for call in tree.calls("parameters", "named_parameters", "train", "state_dict")}
    own = {one.arg for one in node.args.args} if isinstance(node, Function) else set()
    around = tree.function(node)
    own |= {one.arg for one in around.args.args} if around is not None else set()
    return sorted(called & (known | own))


def _is_in_a_step(tree: Tree, node: ast.AST) -> bool:
    """Whether it belongs to a step of training: targets of a teacher, say, and no evaluation."""
    function, loop = tree.function(node), tree.loop(node)
    steps = tree.calls("backward")
    if loop is not None:
        return any(tree.loop(one) is loop for one in steps)
    if function is None:
        return False
    if function.name == "forward" or any(tree.function(one) is function for one in steps):
        return True
    return any(
        tree.function(one) is not function and _is_in_a_step(tree, one) for one in tree.calls(function.name)
    )


def _activations(tree: Tree) -> list[tuple[ast.Call, str]]:
    """Calls whose result goes into a loss as its first argument, directly or by a name, and nowhere else."""
    found: list[tuple[ast.Call, str]] = []
    for node in tree.nodes(ast.Call):
        loss = tree.loss_of(node)
        if loss is None or not node.args:
            continue
        given: ast.expr = node.args[0]
        if isinstance(given, ast.Name):
            scope = tree.function(node) or tree.module
            names = [one for one in tree.nodes(ast.Name, within=scope) if one.id == given.id]
            values = tree.assigned(given.id, scope)
            if len(values) != 1 or len(names) != 2:
                continue
            given = values[0]
        if isinstance(given, ast.Call):
            found.append((given, loss))
    return found


def _argument(activation: ast.Call) -> ast.expr | None:
    """What PyTorch's softmax or sigmoid is applied to; ``None`` of a method of somebody else's."""
    if not isinstance(activation.func, ast.Attribute):
        return None
    if base(activation.func) in _FUNCTIONAL:
        return activation.args[0] if activation.args else None
    numbers = all(isinstance(one, ast.Constant | ast.UnaryOp) for one in activation.args)
    return activation.func.value if numbers and not base(activation.func).startswith("self") else None
