"""Fixes of what the optimizer holds and how far it steps."""

from __future__ import annotations

import ast
import math
import re

from argusvl.doctor.source.edits import Edits
from argusvl.doctor.source.fixes.names import Numbers, models, optimizers, watched
from argusvl.doctor.source.rules import undone_freeze
from argusvl.doctor.source.tree import Function, Tree, base, last

_USUAL_UPDATE = 0.03
"""Of the weights, at the first steps of a new network: what a rate is brought back to."""


def later_optimizer(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """The optimizer is given what was put into the model after it was made."""
    model, handed = watched(tree)
    done: list[ast.Assign] = []
    for call in optimizers(tree):
        made = tree.statement(call)
        owners = {base(c.func).split(".")[0] for c in ast.walk(call) if isinstance(c, ast.Call)}
        name = ast.unparse(made.targets[0]) if isinstance(made, ast.Assign) else handed
        for node in ast.walk(tree.module):
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            target = node.targets[0]
            written = ast.unparse(target)
            inside = written.startswith((f"{model}.", f"{model}["))
            inside = inside or (model is None and written.split(".")[0] in owners)
            layer = last(node.value.func)[:1].isupper() and isinstance(target, (ast.Attribute, ast.Subscript))
            same = tree.function(node) is tree.function(made)
            if inside and layer and (node.lineno > made.lineno if same else not written.startswith("self.")):
                if node in done:
                    continue
                done.append(node)
                optimizer = name if same else handed
                edits.insert_after(node, f'{optimizer}.add_param_group({{"params": {written}.parameters()}})')


def freeze(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """``requires_grad`` by its name, and assigned; what was declared frozen is frozen."""
    found = False
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Assign) and re.fullmatch(
            r"requires?_?d?_?grads?|grad_required", last(node.targets[0])
        ):
            target = node.targets[0]
            if isinstance(target, ast.Attribute) and target.attr != "requires_grad":
                edits.replace(target, f"{edits.written(target.value)}.requires_grad")
                found = True
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Compare)
            and "requires_grad" in ast.unparse(node)
        ):
            edits.replace(node, edits.written(node).replace("==", "="))
            found = True
    for slug, node, _, _ in undone_freeze(tree):
        if slug == "missing-freeze" and isinstance(node, ast.stmt):
            edits.remove(node)
            found = True
    model, _ = watched(tree)
    patterns = numbers.get("declared") or ()
    if found or model is None:
        return
    for call in optimizers(tree):
        statement = tree.statement(call)
        if model not in ast.unparse(tree.function(call) or tree.module):
            continue
        for pattern in patterns:
            part = str(pattern).removesuffix(".*").removesuffix("*").rstrip(".")
            edits.insert_before(statement, f"{model}.{part}.requires_grad_(False)")
            edits.insert_before(statement, f"{model}.{part}.eval()")
        return


def rate(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Brings the first updates back to what is usual."""
    seen = float(numbers.get("first_update_ratio") or numbers.get("update_ratio") or 0.0)
    factor = _USUAL_UPDATE / seen if seen > 0 and math.isfinite(seen) else 0.1
    high = seen == 0 or seen > _USUAL_UPDATE
    # Rather too low than still too high: what is too low learns, later.
    power = math.log10(factor)
    factor = 10.0 ** (math.floor(power) if high else round(power))
    factor = min(factor, 0.1) if high else max(factor, 10.0)
    literals: list[ast.expr] = []
    for call in optimizers(tree):
        literals += [k.value for k in call.keywords if k.arg == "lr"] + call.args[1:2]
        for node in ast.walk(call):
            if isinstance(node, ast.Dict):
                literals += [v for k, v in _pairs(node) if isinstance(k, ast.Constant) and k.value == "lr"]
    for literal in literals:
        for one in _values(tree, literal):
            if isinstance(one, ast.Constant) and isinstance(one.value, (int, float)):
                edits.replace(one, f"{one.value * factor:.6g}")


def _values(tree: Tree, node: ast.expr) -> list[ast.expr]:
    """A literal itself, or what its name is given: in an assignment, as a default, in a call."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):  # config["lr"]
        pairs = [pair for one in ast.walk(tree.module) if isinstance(one, ast.Dict) for pair in _pairs(one)]
        return [
            value for key, value in pairs if isinstance(key, ast.Constant) and key.value == node.slice.value
        ]
    if not isinstance(node, ast.Name):
        return [node]
    found = [
        one.value
        for one in ast.walk(tree.module)
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == node.id
    ]
    for one in ast.walk(tree.module):
        if isinstance(one, ast.keyword) and one.arg == node.id:
            found += [one.value] if isinstance(one.value, ast.Constant) else []
        if isinstance(one, Function):
            named = one.args.args[len(one.args.args) - len(one.args.defaults) :]
            found += [d for a, d in zip(named, one.args.defaults, strict=True) if a.arg == node.id]
            kept = zip(one.args.kwonlyargs, one.args.kw_defaults, strict=True)
            found += [d for a, d in kept if a.arg == node.id and d is not None]
    return found


def _pairs(node: ast.Dict) -> list[tuple[ast.expr | None, ast.expr]]:
    return list(zip(node.keys, node.values, strict=True))


def whole_model(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """All parameters for the optimizer."""
    model, _ = watched(tree)
    for call in optimizers(tree):
        given = call.args[0] if call.args else None
        parts = [given] if given is not None else []
        if isinstance(given, ast.Name):
            parts = tree.assigned(given.id, tree.function(call) or tree.module)
        inner = [
            c
            for one in parts
            for c in ast.walk(one)
            if isinstance(c, ast.Call) and last(c.func) == "parameters"
        ]
        roots = {
            base(c.func).split(".")[0]
            if not base(c.func).startswith("self.")
            else ".".join(base(c.func).split(".")[:2])
            for c in inner
        }
        if len(roots) != 1 or {base(c.func) for c in inner} == roots:
            continue
        root = model if model in roots else next(iter(roots))
        if len(inner) == 1:
            edits.replace(inner[0], f"{root}.parameters()")
        elif given is not None:
            edits.replace(given, f"{root}.parameters()")


def thaw(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """Everything trains."""
    model, _ = watched(tree)
    for call in optimizers(tree):
        statement = tree.statement(call)
        own = [one for one in models(tree, tree.function(call)) if one.isidentifier()]
        name = model if model is not None and model.isidentifier() else next(iter(own), None)
        if name is not None and (model is None or name == model):
            edits.insert_before(statement, f"{name}.requires_grad_(True)")
            return


def decay(tree: Tree, edits: Edits, numbers: Numbers) -> None:
    """A usual weight decay."""
    for call in optimizers(tree):
        for keyword in call.keywords:
            if keyword.arg == "weight_decay" and isinstance(keyword.value, ast.Constant):
                edits.replace(keyword, "weight_decay=0.0001")
