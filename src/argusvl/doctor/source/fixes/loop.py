"""Fixes of the training loop: its order, its modes, what it keeps."""

from __future__ import annotations

import ast

from argusvl.doctor.source.edits import Edits
from argusvl.doctor.source.fixes.names import Numbers, models, stepping
from argusvl.doctor.source.tree import Function, Tree, base, last


def zero_grad(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """``zero_grad`` before each backward pass."""
    for backward in tree.calls("backward"):
        for name in stepping(tree, backward)[:1]:
            edits.insert_before(tree.statement(backward), f"{name}.zero_grad()")


def evaluate(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """``eval`` before an evaluation and ``train`` after it."""
    names = models(tree)
    for node in ast.walk(tree.module):
        guarded = isinstance(node, ast.With) and any(
            "no_grad" in ast.unparse(item) or "inference_mode" in ast.unparse(item) for item in node.items
        )
        if isinstance(node, ast.With) and guarded:
            called = {ast.unparse(c.func) for c in ast.walk(node) if isinstance(c, ast.Call)}
            for name in [n for n in (*names, "model", "net") if n in called][:1]:
                edits.insert_before(node, f"{name}.eval()")
                edits.insert_after(node, f"{name}.train()")
        elif isinstance(node, ast.FunctionDef) and any(
            "no_grad" in ast.unparse(d) for d in node.decorator_list
        ):
            called = {ast.unparse(c.func) for c in ast.walk(node) if isinstance(c, ast.Call)}
            own = [arg.arg for arg in node.args.args if arg.arg in called] + [n for n in names if n in called]
            for name in own[:1]:
                edits.insert_before(node.body[0], f"{name}.eval()")
                for one in ast.walk(node):
                    if isinstance(one, ast.Return) and one.value is not None:
                        edits.replace(
                            one,
                            _returning(edits.written(one.value), name, " " * one.col_offset),
                        )


def train_mode(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """``train`` at the head of the loop that trains."""
    for backward in tree.calls("backward"):
        loop = tree.loop(backward)
        scope = tree.function(backward) or tree.module
        names = [n for n in models(tree, scope) if n] or models(tree)
        body = loop.body if loop is not None else scope.body if isinstance(scope, Function) else []
        called = {ast.unparse(c.func) for c in ast.walk(loop or scope) if isinstance(c, ast.Call)}
        for name in ([n for n in names if n in called] or names)[:1]:
            if body:
                edits.insert_before(body[0], f"{name}.train()")
        return


def graph(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Nothing cuts the graph of a forward pass, and gradients live until the step."""
    for node in ast.walk(tree.module):
        if (isinstance(node, ast.Call) and last(node.func) == "detach" and not node.args) and (
            any(isinstance(one, ast.FunctionDef) and one.name == "forward" for one in tree.above(node))
        ):
            edits.replace(
                node, edits.written(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            )
        if (isinstance(node, ast.With) and any("no_grad" in ast.unparse(item) for item in node.items)) and (
            any(isinstance(one, ast.FunctionDef) and one.name == "forward" for one in tree.above(node))
        ):
            for item in node.items:
                edits.replace(
                    item.context_expr, edits.written(item.context_expr).replace("no_grad", "enable_grad")
                )
    for backward in tree.calls("backward"):  # gradients that are cleared too late
        statement = tree.statement(backward)
        body = getattr(tree.parent.get(statement), "body", [])
        if statement in body:
            between = body[body.index(statement) + 1 :]
            steps = [one for one in between if tree.calls("step", within=one)]
            for one in between[: between.index(steps[0])] if steps else []:
                if tree.calls("zero_grad", within=one):
                    edits.insert_before(statement, edits.written(one))
                    edits.remove(one)


def detached_losses(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """What is kept of a loss is kept without its graph."""
    for backward in tree.calls("backward"):
        name = base(backward.func)
        for node in ast.walk(tree.loop(backward) or tree.function(backward) or tree.module):
            if (isinstance(node, ast.Call) and last(node.func) == "append" and node.args) and (
                ast.unparse(node.args[0]) == name
            ):
                edits.replace(node.args[0], f"{name}.detach()")
            if (isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add)) and (
                ast.unparse(node.value) == name and ast.unparse(node.target) != name
            ):
                edits.replace(node.value, f"{name}.detach()")
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.BinOp)
                and isinstance(node.value.op, ast.Add)
            ):
                target = ast.unparse(node.targets[0])
                for mine, other in ((node.value.left, node.value.right), (node.value.right, node.value.left)):
                    if ast.unparse(mine) == name and ast.unparse(other) == target != name:
                        edits.replace(mine, f"{name}.detach()")


def schedule(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """A schedule for epochs steps once an epoch."""
    schedulers = {
        ast.unparse(node.targets[0])
        for node in ast.walk(tree.module)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and last(node.value.func).endswith(("LR", "Restarts"))
    }
    for call in tree.calls("step"):
        loops = tree.loops(call)
        if base(call.func) in schedulers and len(loops) > 1:
            statement = tree.statement(call)
            edits.insert_after(loops[0], edits.written(statement), loops[0].col_offset)
            edits.remove(statement)


def clip(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """The norm of the gradient is clipped at 1."""
    for backward in tree.calls("backward"):
        for name in [n for n in models(tree) if n][:1]:
            edits.insert_after(
                tree.statement(backward), f"torch.nn.utils.clip_grad_norm_({name}.parameters(), 1.0)"
            )


def _returning(value: str, model: str, indent: str) -> str:
    """A return that puts the model back into training mode first."""
    return f"\n{indent}".join((f"figure = {value}", f"{model}.train()", "return figure"))
