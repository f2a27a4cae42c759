"""A script's syntax tree, with the questions that rules ask of it."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeVar

Loop = ast.For | ast.While | ast.AsyncFor
Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = TypeVar("Node", bound=ast.AST)
Part = tuple[ast.expr, int | None]
"""An expression, or one of the several things that it gives, by its number."""

LOSSES = {
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "kl_div", "CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "SmoothL1Loss",
    "HuberLoss", "BCELoss", "BCEWithLogitsLoss",
}  # fmt: skip
"""What PyTorch's losses are called, as functions and as modules."""
_PASS_ON = ("DataLoader", "tqdm", "list", "iter", "cycle", "next", "prepare")
"""Calls that give the elements of what they are given."""


class Tree:
    """A module's syntax tree, with parents.

    Args:
        module: As parsed.
    """

    def __init__(self, module: ast.Module) -> None:
        self.module = module
        self.parent: dict[ast.AST, ast.AST] = {}
        for node in ast.walk(module):
            for child in ast.iter_child_nodes(node):
                self.parent[child] = node
        self.criteria = self._criteria()
        self._functions = {node.name: node for node in ast.walk(module) if isinstance(node, Function)}

    def _criteria(self) -> dict[str, str]:
        """Name → loss, of names that a loss is assigned to (``criterion = nn.CrossEntropyLoss()``)."""
        found: dict[str, str] = {}
        for node in ast.walk(self.module):
            if isinstance(node, ast.ImportFrom):
                found |= {one.asname: one.name for one in node.names if one.asname and one.name in LOSSES}
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                made = isinstance(node.value, ast.Call)
                name = last(node.value.func if isinstance(node.value, ast.Call) else node.value)
                if name in LOSSES and (not made or name[0].isupper()):
                    found[last(node.targets[0])] = name
        return found

    def nodes(self, *kinds: type[Node], within: ast.AST | None = None) -> Iterator[Node]:
        """All nodes of these kinds, as :func:`ast.walk` comes to them."""
        return (node for node in ast.walk(within or self.module) if isinstance(node, kinds))

    def calls(self, *names: str, within: ast.AST | None = None) -> list[ast.Call]:
        """Calls of functions or methods with one of these names, or of any where none is given, in order."""
        found = (one for one in self.nodes(ast.Call, within=within) if not names or last(one.func) in names)
        return sorted(found, key=lambda node: (node.lineno, node.col_offset))

    def made(self, *names: str) -> Iterator[tuple[ast.Assign, ast.Call]]:
        """Assignments of what a call of one of these names, or of any, gives: ``optimizer = SGD(…)``."""
        for node in self.nodes(ast.Assign):
            if isinstance(node.value, ast.Call) and (not names or last(node.value.func) in names):
                yield node, node.value

    def loss_of(self, call: ast.AST) -> str | None:
        """The loss that an expression calls, by its function's name; ``None`` where it is none."""
        if not isinstance(call, ast.Call):
            return None
        name = last(call.func)
        if isinstance(call.func, ast.Call):  # nn.CrossEntropyLoss()(outputs, targets)
            return last(call.func.func) if last(call.func.func) in LOSSES else None
        if name in self.criteria:
            return self.criteria[name]
        return name if name in LOSSES and not name[0].isupper() else None

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Its parents, from the nearest."""
        while node in self.parent:
            node = self.parent[node]
            yield node

    def loop(self, node: ast.AST) -> Loop | None:
        """The innermost loop around it, within its function."""
        return next(iter(self.loops(node)), None)

    def loops(self, node: ast.AST) -> list[Loop]:
        """All loops around it within its function, the innermost first."""
        inside = itertools.takewhile(lambda one: not isinstance(one, Function), self.above(node))
        return [one for one in inside if isinstance(one, Loop)]

    def function(self, node: ast.AST) -> Function | None:
        """The function around it."""
        return next((one for one in self.above(node) if isinstance(one, Function)), None)

    def functions(self) -> dict[str, Function]:
        """All functions and methods by name."""
        return self._functions

    @cached_property
    def models(self) -> set[str]:
        """Last names of what the script asks for parameters or sets the mode of, and of arguments that are given it."""
        told = self.calls("parameters", "named_parameters", "train", "state_dict", "load_state_dict")
        found = {last(call.func.value) for call in told if isinstance(call.func, ast.Attribute)} | {"self"}
        called = dict[str, ast.stmt](self.functions())
        for made in self.nodes(ast.ClassDef):
            starts = (one for one in made.body if getattr(one, "name", "") == "__init__")
            called |= dict.fromkeys([made.name], next(starts, made))
        for call in self.calls():
            function = called.get(last(call.func))
            if isinstance(function, Function):
                names = [one.arg for one in function.args.args if one.arg != "self"]
                found |= {name for name, given in zip(names, call.args, strict=False) if last(given) in found}
        return found

    @cached_property
    def _bound(self) -> dict[tuple[ast.AST | None, str], list[Part]]:
        """(Function or module, name), or (``None``, attribute) → what is assigned to it, or given to it by calls."""
        found: dict[tuple[ast.AST | None, str], list[Part]] = {}

        def bind(target: ast.expr, value: ast.expr, index: int | None = None) -> None:
            if isinstance(target, ast.Name):
                found.setdefault((self.function(target) or self.module, target.id), []).append((value, index))
            elif isinstance(target, ast.Attribute):
                found.setdefault((None, target.attr), []).append((value, index))
            elif isinstance(target, ast.Tuple) and last(getattr(value, "func", value)) == "enumerate":
                bind(target.elts[-1], getattr(value, "args", [value])[0])
            elif isinstance(target, ast.Tuple) and index is None:
                for number, one in enumerate(target.elts):
                    bind(one, value, number)

        for node in ast.walk(self.module):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    bind(target, node.value)
            elif isinstance(node, ast.For | ast.comprehension):
                bind(node.target, node.iter)
            elif isinstance(node, ast.Call) and (function := self._called(node)) is not None:
                names = [one.arg for one in function.args.args]
                method = self.parent.get(function) in self.classes.values()
                given = [*zip(names[method:], node.args, strict=False)]
                given += [(one.arg, one.value) for one in node.keywords if one.arg]
                for name, value in given:
                    found.setdefault((function, name), []).append((value, None))
        return found

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """All classes by name."""
        return {node.name: node for node in self.nodes(ast.ClassDef)}

    def _called(self, call: ast.Call) -> Function | None:
        """The function of the script that it calls, or the ``__init__`` of the class."""
        made = self.classes.get(last(call.func))
        if made is not None:
            return next((one for one in made.body if getattr(one, "name", "") == "__init__"), None)  # type: ignore[return-value]
        return self.functions().get(last(call.func))

    def values(self, node: ast.expr) -> list[Part]:
        """What a name may stand for: what it was assigned last in its function, given to that by calls, or outside."""
        if isinstance(node, ast.Attribute):
            return self._bound.get((None, node.attr), [])
        if not isinstance(node, ast.Name):
            return []
        scopes = [one for one in self.above(node) if isinstance(one, Function | ast.Module)]
        found = next((found for one in scopes if (found := self._bound.get((one, node.id)))), [])
        place = (node.lineno, node.col_offset)
        before = {(one.end_lineno or 0, one.end_col_offset or 0): (one, index) for one, index in found}
        own = [
            end
            for end, one in before.items()
            if end <= place and self.function(one[0]) is self.function(node)
        ]
        return [before[max(own)]] if own else found

    def part(self, node: ast.expr, index: int) -> list[Part]:
        """What one of the several things is that an expression gives; the whole expression where that is not known."""
        if isinstance(node, ast.Tuple):
            return [(node.elts[index], None)] if index < len(node.elts) else []
        if isinstance(node, ast.Name | ast.Attribute):
            return [(value, index if inner is None else inner) for value, inner in self.values(node)]
        if isinstance(node, ast.Call) and last(node.func) in ("zip", "TensorDataset"):
            return [(one, None) for one in node.args[index : index + 1]]
        if isinstance(node, ast.Call) and last(node.func) in _PASS_ON and node.args:
            return [(node.args[0], index)]
        function = self._called(node) if isinstance(node, ast.Call) else None
        returned = [] if function is None else [*self.nodes(ast.Return, within=function)]
        return [(one.value, index) for one in returned if one.value is not None] or [(node, None)]

    def origins(self, node: ast.expr) -> set[ast.AST]:
        """All that an expression is computed from, by names, as far as the script says."""
        found, left, seen = set[ast.AST](), list[Part]([(node, None)]), set[Part]()
        while left:
            one = left.pop()
            if one in seen:
                continue
            seen.add(one)
            if one[1] is not None:
                left += self.part(one[0], one[1])
                continue
            for inner in self.nodes(ast.expr, within=one[0]):
                found.add(inner)
                left += self.values(inner)
        return found

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement that it is in."""
        return next(one for one in (node, *self.above(node)) if isinstance(one, ast.stmt))

    def assigned(self, name: str, within: ast.AST) -> list[ast.expr]:
        """What is assigned to a name."""
        return [
            node.value
            for node in self.nodes(ast.Assign, within=within)
            if any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
        ]


def last(node: ast.AST) -> str:
    """The last part of a dotted name; empty where there is none."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def base(node: ast.AST) -> str:
    """A dotted name without its last part, as written; empty where there is none."""
    return ast.unparse(node.value) if isinstance(node, ast.Attribute) else ""


def names_in(node: ast.AST) -> set[str]:
    """All names that occur in it."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def is_constant(node: ast.AST, value: bool) -> bool:
    """Whether ``True``, or ``False``, is written there."""
    return isinstance(node, ast.Constant) and node.value is value


def without_gradients(node: ast.AST) -> bool:
    """Whether a ``with``, or a function by its decorators, computes no gradients."""
    where: Sequence[ast.AST] = ()
    if isinstance(node, ast.With):
        where = node.items
    elif isinstance(node, ast.FunctionDef):
        where = node.decorator_list
    return any("no_grad" in text or "inference_mode" in text for text in map(ast.unparse, where))
