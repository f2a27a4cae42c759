"""What a script calls its parts."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from argusvl.doctor.source.rules import OPTIMIZERS
from argusvl.doctor.source.tree import Function, Tree, base, last

Numbers = Mapping[str, Any]
"""Of a finding."""


def optimizers(tree: Tree) -> list[ast.Call]:
    """Where optimizers are made."""
    return [call for call in tree.calls(*OPTIMIZERS) if call.args or call.keywords]


def watched(tree: Tree) -> tuple[str | None, str | None]:
    """Model and optimizer as the script hands them to a watch; ``None`` where it does not."""
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Call) and "watch" in last(node.func).lower() and len(node.args) > 1:
            return ast.unparse(node.args[0]), ast.unparse(node.args[1])
    return None, None


def models(tree: Tree, scope: ast.AST | None = None) -> list[str]:
    """Names whose parameters are asked for or that are put into a mode."""
    found: dict[str, None] = {}
    model, _ = watched(tree)
    if model is not None and scope is None:
        found.setdefault(model)
    for call in tree.calls("parameters", "named_parameters", "train", "eval", "state_dict", within=scope):
        name = base(call.func)
        own = name.startswith("self.") and name.count(".") == 1
        if own or (name.isidentifier() and name not in ("self", "nn", "torch")):
            found.setdefault(name)
    return list(found)


def model_calls(tree: Tree) -> Iterator[ast.Call]:
    """Calls of the model, anywhere."""
    names = set(models(tree))
    arguments = {
        arg.arg
        for f in tree.functions().values()
        for arg in f.args.args
        if arg.arg in ("model", "net", "network")
    }
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)) and node.args:
            name = ast.unparse(node.func)
            if name in names | arguments and not isinstance(node.args[0], ast.Starred):
                yield node


def stepping(tree: Tree, backward: ast.Call) -> list[str]:
    """What is stepped in the loop of a backward pass and made by an optimizer's class."""
    made = {
        ast.unparse(node.targets[0])
        for node in ast.walk(tree.module)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and last(node.value.func) in OPTIMIZERS
    }
    scope = tree.loop(backward) or tree.function(backward) or tree.module
    names = [base(call.func) for call in tree.calls("step", within=scope)]
    return [name for name in names if name in made] or [name for name in names if "opt" in name.lower()]


def for_figures(tree: Tree, node: ast.AST) -> bool:
    """Whether it stands where no gradient is needed: probabilities for people."""
    for one in tree.above(node):
        if isinstance(one, ast.With) and any("no_grad" in ast.unparse(item) for item in one.items):
            return True
        if isinstance(one, Function) and any("no_grad" in ast.unparse(d) for d in one.decorator_list):
            return True
    return False
