"""Fixes of how weights begin, what lies between them and in which type they are."""

from __future__ import annotations

import ast
import re

from argusvl.doctor.source.edits import Edits
from argusvl.doctor.source.fixes.loop import clip
from argusvl.doctor.source.fixes.names import Numbers
from argusvl.doctor.source.tree import Tree, base, last


def default_initialisation(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Weights keep the initialisation that their layers give them."""
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = last(node.value.func)
            written = ast.unparse(node.value.func)
            sets = name in (
                "fill_",
                "zero_",
                "mul_",
                "normal_",
                "uniform_",
                "constant_",
                "zeros_",
                "ones_",
                "copy_",
                "add_",
            )
            if (".init." in f".{written}" or sets) and "grad" not in written:
                edits.remove(node)
        if (
            isinstance(node, ast.AugAssign)
            and isinstance(node.op, ast.Mult)
            and re.search(r"\.(weight|bias|data)", ast.unparse(node.target))
        ):
            edits.remove(node)


def rectify(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Saturating activations of hidden layers become ReLU."""
    for node in ast.walk(tree.module):
        if isinstance(node, (ast.Attribute, ast.Name)) and last(node) in ("Sigmoid", "Tanh"):
            edits.replace(node, f"{base(node)}.ReLU" if base(node) else "ReLU")
        if (
            (
                isinstance(node, ast.Call)
                and last(node.func) in ("sigmoid", "tanh")
                and not isinstance(tree.statement(node), ast.Return)
            )
            and isinstance(node.func, ast.Attribute)
            and base(node.func) == "torch"
        ):
            edits.replace(node.func, "torch.relu")


_PLACES = re.compile(
    r"(use_|add_|abs_)?(pos|position|positions|positional)(_(emb|embed|embedding|embeddings|encoding))?"
)


def positions(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Tokens know where they are, if that was switched off."""
    for call in (node for node in ast.walk(tree.module) if isinstance(node, ast.Call)):
        for keyword in call.keywords:
            value = keyword.value
            if (
                _PLACES.fullmatch(keyword.arg or "")
                and isinstance(value, ast.Constant)
                and value.value is False
            ):
                edits.replace(value, "True")


def full_precision(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Weights stay in float32."""
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            half = node.func.attr in ("bfloat16", "half") and not node.args
            if half or (
                node.func.attr == "to"
                and any(last(one) in ("bfloat16", "float16", "half") for one in node.args)
            ):
                edits.replace(node, f"{edits.written(node.func.value)}.float()")


def one_random_factor(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """The first factor that begins at zero begins at random."""
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Call) and last(node.func) == "Parameter" and node.args:
            inner = node.args[0]
            if isinstance(inner, ast.Call) and last(inner.func) == "zeros":
                edits.replace(inner.func, "0.01 * torch.randn")
                return


def smaller(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Weights begin as their layers draw them, and the norm of the gradient is clipped."""
    default_initialisation(tree, edits, numbers)
    clip(tree, edits, numbers)
