"""Fixes of the loss and of what it is given."""

from __future__ import annotations

import ast
import math

from argusvl.doctor.source.edits import Edits
from argusvl.doctor.source.fixes.names import Numbers, for_figures
from argusvl.doctor.source.rules import SOFT
from argusvl.doctor.source.tree import Function, Tree, base, last

_ELEMENTWISE = (
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "MSELoss",
    "L1Loss",
    "SmoothL1Loss",
    "HuberLoss",
)


def sign(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """What is minimised is the loss."""
    for node in ast.walk(tree.module):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            parent = tree.parent.get(node)
            backwards = isinstance(parent, ast.Attribute) and parent.attr == "backward"
            if tree.loss_of(node.operand) is not None or backwards:
                edits.replace(node, edits.written(node.operand))
        elif isinstance(node, ast.keyword) and node.arg == "maximize":
            edits.replace(node, "maximize=False")
        elif (
            isinstance(node, ast.AugAssign)
            and isinstance(node.op, ast.Add)
            and ".grad" in ast.unparse(node.value)
        ):
            edits.replace(node, f"{edits.written(node.target)} -= {edits.written(node.value)}")


def _inner(node: ast.Call, edits: Edits) -> str | None:
    """What an activation is applied to."""
    if isinstance(node.func, ast.Attribute) and not base(node.func).endswith(
        ("F", "functional", "torch", "nn")
    ):
        return edits.written(node.func.value)
    if isinstance(node.func, ast.Call) or node.args:
        return edits.written(node.args[0]) if node.args else None
    return None


def single_softmax(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Scores go into the loss as they are."""
    soft = [node for node in ast.walk(tree.module) if isinstance(node, ast.Call) and _is_soft(node)]
    for node in soft:
        if (any(isinstance(one, ast.FunctionDef) and one.name == "forward" for one in tree.above(node))) and (
            not _reaches_return(tree, node)
        ):
            continue
        parent = tree.parent.get(node)
        if isinstance(parent, ast.Call) and last(parent.func) == "Sequential":
            if parent.args and parent.args[-1] is node:
                edits.replace(
                    node, "nn.Identity()" if base(node.func) in ("nn", "") else "torch.nn.Identity()"
                )
        elif not last(node.func)[:1].isupper() and not for_figures(tree, node):
            inner = _inner(node, edits)
            if inner is not None:
                edits.replace(node, inner)


def _is_soft(node: ast.Call) -> bool:
    return last(node.func) in SOFT or (isinstance(node.func, ast.Call) and last(node.func.func) in SOFT)


def _reaches_return(tree: Tree, node: ast.Call) -> bool:
    """Whether its result is what the function returns, and not attention within it."""
    statement = tree.statement(node)
    if isinstance(statement, ast.Return):
        return statement.value is node
    function = tree.function(node)
    if function is None or not isinstance(statement, ast.Assign) or statement.value is not node:
        return False
    name = ast.unparse(statement.targets[0])
    returned = [one for one in ast.walk(function) if isinstance(one, ast.Return) and one.value is not None]
    return any(ast.unparse(one.value) == name for one in returned if one.value is not None)


def log_softmax(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Logarithms of probabilities go into a log-likelihood."""
    changed = False
    for node in ast.walk(tree.module):
        if (
            isinstance(node, ast.Call)
            and last(node.func) in ("softmax", "Softmax")
            and not for_figures(tree, node)
        ) and not any(isinstance(one, Function) and "attention" in one.name for one in tree.above(node)):
            edits.replace(
                node,
                edits.written(node).replace("softmax", "log_softmax", 1).replace("Softmax", "LogSoftmax", 1),
            )
            changed = True
    if changed:
        return
    for node in ast.walk(tree.module):
        if tree.loss_of(node) in ("nll_loss", "NLLLoss") and isinstance(node, ast.Call) and node.args:
            edits.replace(node.args[0], f"torch.log_softmax({edits.written(node.args[0])}, dim=1)")


def squeeze(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Outputs and targets are compared one by one."""
    for node in ast.walk(tree.module):
        if tree.loss_of(node) in _ELEMENTWISE and isinstance(node, ast.Call) and len(node.args) > 1:
            for one in node.args[:2]:
                edits.replace(one, f"({edits.written(one)}).reshape(-1)")


def shift(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """The output at a token is compared with the token after it."""
    for node in ast.walk(tree.module):
        if (
            tree.loss_of(node) not in ("cross_entropy", "CrossEntropyLoss")
            or not isinstance(node, ast.Call)
            or len(node.args) < 2
        ):
            continue
        cut = {
            ast.unparse(s.slice): s
            for one in node.args[:2]
            for s in ast.walk(one)
            if isinstance(s, ast.Subscript)
        }
        before, after = (
            cut.get("(:, :-1)"),
            cut.get("(:, 1:)"),
        )
        if numbers.get("offset") == 2 and before is not None and after is not None:
            edits.replace(before, edits.written(before.value))
            edits.replace(after, edits.written(after.value))
        elif numbers.get("offset") == 0:
            for one, part in zip(node.args[:2], ("[:, :-1]", "[:, 1:]"), strict=True):
                named = [
                    name
                    for name in ast.walk(one)
                    if isinstance(name, ast.Name) and name.id not in ("F", "torch", "nn")
                ]
                if named:
                    first = min(named, key=lambda name: (name.lineno, name.col_offset))
                    written = (
                        edits.written(one)
                        .replace(first.id, first.id + part, 1)
                        .replace(".view(", ".reshape(")
                    )
                    edits.replace(one, written)


def safe_domain(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Logarithms of a softmax in one; a small number under other logarithms and under roots."""
    for node in ast.walk(tree.module):
        if (
            not isinstance(node, ast.Call)
            or last(node.func) not in ("log", "sqrt")
            or for_figures(tree, node)
        ):
            continue
        if base(node.func) == "torch" and node.args:
            inner, whole = node.args[0], edits.written(node.args[0])
        elif (
            isinstance(node.func, ast.Attribute)
            and not node.args
            and base(node.func) not in ("math", "np", "numpy")
        ):
            inner, whole = node.func.value, edits.written(node.func.value)
        else:
            continue
        head: ast.expr = inner
        while True:
            if isinstance(head, ast.Subscript):
                head = head.value
            elif (
                isinstance(head, ast.Call)
                and isinstance(head.func, ast.Attribute)
                and last(head.func) == "gather"
            ):
                head = head.func.value
            else:
                break
        if last(node.func) == "log" and isinstance(head, ast.Call) and last(head.func) == "softmax":
            edits.replace(node, whole.replace("softmax", "log_softmax", 1))
        else:
            edits.replace(inner, f"({whole}).clamp_min(1e-6)")


def classes(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Cross-entropy for classes that exclude each other, a sigmoid for each tag for those that do not."""
    if numbers.get("form") == "cross-entropy-of-tags":
        for node in ast.walk(tree.module):
            if isinstance(node, ast.Call) and last(node.func) in ("CrossEntropyLoss", "cross_entropy"):
                whole, old = edits.written(node.func), last(node.func)
                new = "BCEWithLogitsLoss" if old[0].isupper() else "binary_cross_entropy_with_logits"
                edits.replace(node.func, whole.removesuffix(old) + new)
        return
    if numbers.get("form") not in ("squared-number", "absolute-number", "squared-one-hot"):
        return
    for node in ast.walk(tree.module):
        if (
            tree.loss_of(node) in ("mse_loss", "l1_loss", "smooth_l1_loss")
            and isinstance(node, ast.Call)
            and len(node.args) > 1
        ):
            target = node.args[1]
            named = [
                one
                for one in ast.walk(target)
                if isinstance(one, ast.Name) and one.id not in ("F", "torch", "nn")
            ]
            if named:
                first = min(named, key=lambda name: (name.lineno, name.col_offset))
                scores = node.args[0]
                while isinstance(scores, ast.Call) and last(scores.func) in ("mean", "sum", "squeeze"):
                    if not isinstance(scores.func, ast.Attribute):
                        break
                    scores = scores.func.value
                edits.replace(node, f"torch.nn.functional.cross_entropy({edits.written(scores)}, {first.id})")


def balance(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Factors of loss terms that are hundreds become 1."""
    for node in ast.walk(tree.module):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            for side in (node.left, node.right):
                if (
                    isinstance(side, ast.Constant) and isinstance(side.value, (int, float)) and side.value > 0
                ) and (abs(math.log10(side.value)) >= 2):
                    edits.replace(side, "1.0")
