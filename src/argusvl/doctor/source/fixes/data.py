"""Fixes of what the model is given."""

from __future__ import annotations

import ast
import re

from argusvl.doctor.source.edits import Edits
from argusvl.doctor.source.fixes.names import Numbers, for_figures, model_calls
from argusvl.doctor.source.tree import Tree, base, last


def standardise(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Gives the model inputs of mean 0 and deviation 1, wherever it is called."""
    columns = numbers.get("columns")
    mean, std = numbers.get("mean"), numbers.get("std")
    if columns:
        means, stds = (", ".join(f"{one:.6g}" for one in row) for row in columns)
        change = f" - torch.tensor([{means}])) / torch.tensor([{stds}])"
    elif mean is not None and std:
        change = f" - {mean:.6g}) / {std:.6g}"
    else:
        return
    for call in model_calls(tree):
        edits.replace(call.args[0], f"({edits.written(call.args[0])}{change}")


def blank_column(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Keeps a column from the model, wherever it is called."""
    column = numbers.get("column")
    if column is not None:
        for call in model_calls(tree):
            edits.replace(
                call.args[0], f"({edits.written(call.args[0])}).index_fill(1, torch.tensor([{column}]), 0.0)"
            )


def same_preparation(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Gives evaluation inputs the mean and deviation of those of training."""
    if "training" not in numbers or "evaluation" not in numbers:
        return
    (mean, std), (mean_there, std_there) = numbers["training"], numbers["evaluation"]
    for call in model_calls(tree):
        if for_figures(tree, call):
            old = edits.written(call.args[0])
            edits.replace(call.args[0], f"({old} - {mean_there:.6g}) * {std / std_there:.6g} + {mean:.6g}")


def finite_inputs(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Zero where an input is not finite."""
    for call in model_calls(tree):
        edits.replace(
            call.args[0], f"torch.nan_to_num({edits.written(call.args[0])}, posinf=0.0, neginf=0.0)"
        )


def shuffle(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """A new order of the training data in each epoch."""
    for node in ast.walk(tree.module):
        if isinstance(node, ast.keyword) and node.arg == "shuffle" and isinstance(node.value, ast.Constant):
            loader = tree.parent.get(node)
            if isinstance(loader, ast.Call) and not re.search(r"val|test|dev", ast.unparse(loader).lower()):
                edits.replace(node, "shuffle=True")
    for backward in tree.calls("backward"):
        for loop in tree.loops(backward):
            for node in ast.walk(loop):
                if (
                    isinstance(node, ast.Call)
                    and last(node.func) == "arange"
                    and base(node.func) == "torch"
                    and len(node.args) == 1
                ):
                    edits.replace(node, f"torch.randperm({edits.written(node.args[0])})")
    for node in ast.walk(tree.module):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and last(node.value.func) == "argsort"
        ):
            edits.replace(
                node.value,
                f"torch.randperm(len({edits.written(node.value.args[0])}))"
                if node.value.args
                else edits.written(node.value),
            )


def one_order(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Inputs and targets keep one order."""
    for node in ast.walk(tree.module):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Call)
            and last(node.slice.func) == "randperm"
        ):
            edits.replace(node, edits.written(node.value))
