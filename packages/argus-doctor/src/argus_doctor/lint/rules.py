"""Rules: each looks at a training script for one cause."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeGuard

from argus_doctor.lint.tree import (
    Function,
    Loop,
    Tree,
    base,
    is_constant,
    last,
    names_in,
    without_gradients,
)

Hit = tuple[str, ast.expr | ast.stmt, str]
"""Cause, place, what is seen there."""
Rule = Callable[[Tree], Iterator[Hit]]

OPTIMIZERS = {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax", "Adadelta", "LBFGS"}
SOFTMAX, SIGMOID = {"softmax", "Softmax"}, {"sigmoid", "Sigmoid"}
SOFT = SOFTMAX | SIGMOID
NEEDS_SCORES = {"cross_entropy", "CrossEntropyLoss"}
NEEDS_BINARY_SCORES = {"binary_cross_entropy_with_logits", "BCEWithLogitsLoss"}
NEEDS_LOGARITHMS = {"nll_loss", "NLLLoss"}
_COMPARES = {"kl_div", "KLDivLoss"}
MODES = ("Dropout", "dropout", "BatchNorm")
"""What is in the text of a model that does something else in training."""
MISSPELT = ("require_grad", "requires_grads", "require_grads", "required_grad", "grad_required")
"""What is written for ``requires_grad``."""
_LOSS = re.compile(r"(?i)loss|cost|error|nll|criterion")
"""What something is called that has to become smaller."""
_ATTENTION = ("MultiheadAttention", "TransformerEncoder", "TransformerEncoderLayer")


def missing_zero_grad(tree: Tree) -> Iterator[Hit]:
    """``backward`` and ``step`` in a loop that clears no gradient."""
    for backward in tree.calls("backward"):
        loops = tree.loops(backward)
        scope: ast.AST = loops[0] if loops else tree.function(backward) or tree.module
        if not tree.calls("step", within=scope) or _clears(scope):
            continue
        called = {last(call.func) for call in tree.calls(within=scope)}
        called |= {last(one) for call in tree.calls(*_HOOKS) for one in call.args}
        helped = any(name in called and _clears(one) for name, one in tree.functions().items())
        # A training step of its own may be cleared for by its caller.
        if not helped and (loops or not _clears(tree.module)):
            yield "missing-zero-grad", backward, "no zero_grad() in the loop that calls backward() and step()"


_HOOKS = ("register_hook", "register_post_accumulate_grad_hook", "register_step_post_hook")


def _clears(scope: ast.AST) -> bool:
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and any(last(target) == "grad" for target in node.targets):
            return True
        if isinstance(node, ast.Call):
            name, written = last(node.func), ast.unparse(node.func)
            in_place = name in ("zero_", "fill_") and ".grad" in written
            if name == "zero_grad" or in_place or "autograd.grad" in written:
                return True
    return False


def turned_sign(tree: Tree) -> Iterator[Hit]:
    """A loss with a minus before it, or an optimizer told to maximise; of both, neither."""
    minimised = {base(call.func) for call in tree.calls("backward")}
    upwards = "maximize=True" in ast.unparse(tree.module)
    negated = any(tree.loss_of(one.operand) for one in tree.nodes(ast.UnaryOp))
    for node in ast.walk(tree.module):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not upwards:
            statement, parent = tree.statement(node), tree.parent[node]
            # A name of its own may be negated again: only what is minimised itself tells.
            itself = not isinstance(statement, ast.Assign) or ast.unparse(statement.targets[0]) in minimised
            if tree.loss_of(node.operand) is not None and itself:
                yield "wrong-sign", node, f"`{ast.unparse(node)}`: the loss is negated"
            elif (
                isinstance(parent, ast.Attribute)
                and parent.attr == "backward"
                and _is_loss(tree, node.operand)
            ):
                yield "wrong-sign", node, f"`{ast.unparse(parent)}()`: the loss is negated"
        elif isinstance(node, ast.Call) and last(node.func) in OPTIMIZERS and not negated:
            if any(one.arg == "maximize" and is_constant(one.value, True) for one in node.keywords):
                yield "wrong-sign", node, "maximize=True: the optimizer makes the loss greater"
        elif _adds(node) and _climbs(tree, node):
            yield "wrong-sign", node, f"`{ast.unparse(node)}`: goes up the gradient"


def _is_loss(tree: Tree, node: ast.expr) -> bool:
    """Whether it is called a loss, or is one of PyTorch's: a likelihood or a reward is rightly made greater."""
    named = getattr(node, "func", node)
    called = isinstance(named, ast.Name | ast.Attribute) and _LOSS.search(ast.unparse(named))
    return bool(called) or any(tree.loss_of(value) for value, _ in tree.values(node))


def _climbs(tree: Tree, node: ast.AugAssign) -> bool:
    """Whether a parameter is moved by its own gradient, and is not put back: norms add up, attacks change inputs."""
    moved = ast.unparse(node.target)
    name = moved.removesuffix(".data")
    learns = any("parameters()" in ast.unparse(value) for value, _ in tree.values(_without_data(node.target)))
    down = any(isinstance(one, ast.USub | ast.Sub) for one in ast.walk(node.value))
    others = [one for one in tree.nodes(ast.Assign, ast.AugAssign) if one is not node]
    back = any(
        moved in map(ast.unparse, getattr(one, "targets", [getattr(one, "target", one)])) for one in others
    )
    return learns and not down and not back and f"{name}.grad" in ast.unparse(node.value)


def _without_data(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Attribute) and node.attr == "data" else node


def _adds(node: ast.AST) -> TypeGuard[ast.AugAssign]:
    return isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add)


def softmax(tree: Tree) -> Iterator[Hit]:
    """Softmax before a loss that has its own, or none before one that needs it."""
    seen = set[ast.AST]()
    for node in tree.nodes(ast.Call):
        loss = tree.loss_of(node)
        if loss is None or not node.args:
            continue
        for given in node.args[:2]:
            if loss in NEEDS_LOGARITHMS | _COMPARES and _softens_samples(tree, given):
                what = f"`{ast.unparse(given)}` adds up to 1 over the first dimension, the samples"
                yield "softmax-wrong-dimension", given, what
        for soft, end in _ends_in(tree, node.args[0]):
            place = end or node
            what = f"the model ends in {soft}, and" if end else f"{soft} of the outputs goes into"
            takes = " takes" if end else ", which takes"
            if place in seen:
                continue
            if (loss in NEEDS_SCORES and soft in SOFT) or (loss in NEEDS_BINARY_SCORES and soft in SIGMOID):
                seen.add(place)
                yield "double-softmax", place, f"{what} {loss}{takes} scores"
            elif loss in NEEDS_LOGARITHMS and soft in SOFTMAX:
                seen.add(place)
                yield "missing-softmax", place, f"{what} {loss}{takes} logarithms of probabilities"


End = tuple[str, ast.expr | ast.stmt | None]
"""An activation, and where a model ends in it; ``None`` where it is applied outside of one."""
Seen = set[tuple[ast.expr, int | None]]
"""What was followed already, of a model with -1."""


def _ends_in(tree: Tree, node: ast.expr, index: int | None = None, seen: Seen | None = None) -> Iterator[End]:
    """The activations that an expression is the result of: directly, by a name, or as the end of a model."""
    seen = set() if seen is None else seen
    if (node, index) in seen:
        return
    seen.add((node, index))
    if isinstance(node, ast.Name):
        for value, inner in tree.values(node):
            yield from _ends_in(tree, value, index if inner is None else inner, seen)
    elif isinstance(node, ast.Tuple):
        for one in node.elts if index is None else node.elts[index : index + 1]:
            yield from _ends_in(tree, one, None, seen)
    elif isinstance(node, ast.Subscript):
        number = node.slice.value if isinstance(node.slice, ast.Constant) else None
        yield from _ends_in(tree, node.value, number if isinstance(number, int) else None, seen)
    elif isinstance(node, ast.Call):
        name = last(
            node.func.func if isinstance(node.func, ast.Call) else node.func
        )  # nn.Softmax(1)(outputs)
        if name in SOFT:
            yield name, None
        elif name in _RESHAPES and isinstance(node.func, ast.Attribute):
            yield from _ends_in(tree, node.func.value, index, seen)
        else:
            for model in _models(tree, node.func, seen):
                yield from _ends_of_model(tree, model, index, seen)


def _ends_of_model(
    tree: Tree, model: ast.Call | ast.ClassDef, index: int | None, seen: Seen
) -> Iterator[End]:
    if isinstance(model, ast.Call):
        end = model.args[-1] if model.args else model
        if isinstance(end, ast.Call) and last(end.func) in SOFT:
            yield last(end.func), end
        elif isinstance(end, ast.Call) and end is not model:
            for inner in _models(tree, end, seen):
                yield from _ends_of_model(tree, inner, index, seen)
        return
    for forward in [one for one in model.body if isinstance(one, ast.FunctionDef) and one.name == "forward"]:
        for returned in tree.nodes(ast.Return, within=forward):
            if returned.value is not None:
                for soft, place in _ends_in(tree, returned.value, index, seen):
                    yield soft, place or returned


def _models(tree: Tree, node: ast.expr, seen: Seen) -> Iterator[ast.Call | ast.ClassDef]:
    """What a model is, as far as the script says: a class of its own, or a ``Sequential``."""
    if (node, -1) in seen:
        return
    seen.add((node, -1))
    if isinstance(node, ast.Call):
        name, function = last(node.func), tree.functions().get(last(node.func))
        if name == "Sequential":
            yield node
        elif name in tree.classes:
            yield tree.classes[name]
        else:
            inner = [one.value for one in tree.nodes(ast.Return, within=function)] if function else node.args
            owner = [node.func.value] if isinstance(node.func, ast.Attribute) else []  # net.to(device)
            for one in (*inner, *owner):
                if one is not None:
                    yield from _models(tree, one, seen)
        return
    if isinstance(node, ast.Name) and node.id == "self":
        yield from [one for one in tree.above(node) if isinstance(one, ast.ClassDef)][:1]
        return
    values = tree.values(node)
    for value, index in values:
        for one, _ in [(value, None)] if index is None else tree.part(value, index):
            yield from _models(tree, one, seen)
    if not values and last(node) in tree.models:  # made elsewhere, of a class that nothing here makes
        made = {last(call.func) for call in tree.calls()}
        yield from (one for name, one in tree.classes.items() if name not in made)


_RESHAPES = (
    "view",
    "reshape",
    "squeeze",
    "unsqueeze",
    "flatten",
    "transpose",
    "permute",
    "float",
    "contiguous",
)


def _softens_samples(tree: Tree, node: ast.expr) -> bool:
    """Whether it is a softmax over dimension 0, and that is the samples: classes are told apart by another one."""
    if not isinstance(node, ast.Call) or last(node.func) not in ("softmax", "log_softmax"):
        return False
    method = not isinstance(node.func, ast.Attribute) or base(node.func) in _FUNCTIONAL
    given = node.args[0] if method and node.args else getattr(node.func, "value", node)
    values = [given, *(value for value, _ in tree.values(given))]
    alone = any(last(getattr(one, "func", one)) in ("squeeze", "flatten") for one in values)
    classes = any(_dimension(one) in (1, -1) for one in tree.calls("argmax", "max", "softmax", "log_softmax"))
    return _dimension(node) == 0 and classes and not alone


_FUNCTIONAL = ("F", "torch", "nn.functional")


def _dimension(call: ast.Call) -> object:
    """The dimension that a call is told, of a function or a method; ``None`` where it is not a number."""
    method = not isinstance(call.func, ast.Attribute) or base(call.func) in _FUNCTIONAL
    places = [*call.args[1 if method else 0 :][:1], *(k.value for k in call.keywords if k.arg == "dim")]
    try:
        return ast.literal_eval(places[0]) if places else None
    except ValueError:
        return None


def modes(tree: Tree) -> Iterator[Hit]:
    """``eval()`` without ``train()``, and evaluation without ``eval()``."""
    for backward in tree.calls("backward"):
        for loop in tree.loops(backward):
            called = {last(call.func) for call in tree.calls(within=loop)}
            parts = [loop, *(one for name, one in tree.functions().items() if name in called)]
            evals, trains = (
                [call for part in parts for call in tree.calls(mode, within=part) if base(call.func)]
                for mode in ("eval", "train")
            )
            inside = next((call for call in evals if not call.args and _is_trained(tree, call)), None)
            if inside is not None and not trains:
                what = f"`{ast.unparse(inside)}` in the training loop, and no train() after it"
                yield "training-in-evaluation-mode", inside, what
                return
    if any(base(call.func) and not call.args for call in tree.calls("eval")):
        return
    text = ast.unparse(tree.module)
    if not any(word in text for word in MODES):
        return
    for node in tree.nodes(ast.With, ast.FunctionDef):
        trained = tree.calls("train", within=tree.function(node) or node)
        if without_gradients(node) and not trained and _evaluates(tree, node):
            what = "evaluation without eval(), of a model with dropout or batch normalisation"
            yield "evaluation-in-training-mode", node, what
            return


def _is_trained(tree: Tree, mode: ast.Call) -> bool:
    """Whether a model whose mode is set may be one that an optimizer has: no teacher, average or part of it."""
    handed = [
        one for made in tree.calls(*OPTIMIZERS) for given in made.args[:1] for one in tree.origins(given)
    ]
    trained = {last(one) for one in handed} - {""}
    model = mode.func.value if isinstance(mode.func, ast.Attribute) else mode.func
    elements = (ast.For, ast.comprehension)
    wholes = (one for one, _ in tree.values(model) if not isinstance(tree.parent[one], elements))
    names = {last(model), *map(last, wholes)}
    function = tree.function(mode)
    unknown = function is not None and last(model) in {one.arg for one in function.args.args}
    return (
        not trained or last(model) == "self" or (unknown and not tree.values(model)) or bool(names & trained)
    )


_ANSWERS = ("forward", "generate", "predict", "sample")


def _evaluates(tree: Tree, node: ast.AST, seen: tuple[Function, ...] = ()) -> bool:
    """Whether a block calls a model, itself or by a function, on anything but the batch that is trained on."""
    around = tree.function(node)
    if around is not None and around.name == "forward":
        return False
    models, functions = tree.models, tree.functions()
    for call in tree.calls(within=node):
        name = last(call.func)
        helper = functions.get(name)
        if name in models or (name in _ANSWERS and last(getattr(call.func, "value", call)) in models):
            if not any(_trains_on(tree, one, call) for one in tree.calls(name)):
                return True
        elif helper not in (None, node, *seen) and _evaluates(
            tree, functions[name], (*seen, functions[name])
        ):
            return True
    return False


def _trains_on(tree: Tree, one: ast.Call, other: ast.Call) -> bool:
    """Whether a call with gradients is of the same model and batch as another one, at the same turn of a loop."""
    places = ((tree.loop(call), tree.function(call), ast.unparse(call)) for call in (one, other))
    same = one is not other and next(places) == next(places)
    return same and not any(map(without_gradients, tree.above(one)))


def unmasked_attention(tree: Tree) -> ast.Call | None:
    """The first call of PyTorch's attention without a mask, where none has one: no fault but of a causal model."""
    made = {ast.unparse(node.targets[0]) for node, _ in tree.made(*_ATTENTION)}
    calls = [
        call
        for call in tree.calls()
        if last(call.func) == "scaled_dot_product_attention" or ast.unparse(call.func) in made
    ]
    if any(_is_masked(call) for call in calls):
        return None
    return next((call for call in calls if _asks_itself(tree, call)), None)


def _asks_itself(tree: Tree, call: ast.Call) -> bool:
    """Whether query and key may come from the same: what is asked of something else has no future to be masked."""
    if len(call.args) < 2:
        return True
    scope = tree.function(call) or tree.module
    told = [one.arg for one in scope.args.args] if isinstance(scope, Function) else []
    told = told[isinstance(tree.parent.get(scope), ast.ClassDef) :]  # without self
    if len({name for name in map(last, call.args[:3]) if name in told}) == 3:
        return True  # as whoever calls it wants
    stored = {one.id for one in tree.nodes(ast.Name, within=scope) if isinstance(one.ctx, ast.Store)}
    here = {one for one in ast.walk(scope) if last(one) in stored.union(told)}
    query, key = ({last(one) for one in tree.origins(given) & here} for given in call.args[:2])
    return bool(query & key) or not query or not key


def _is_masked(call: ast.Call) -> bool:
    """Whether a call of attention has a mask, or something that may be one."""
    if len(call.args) not in (1, 3) or any(one.arg is None for one in call.keywords):
        return True
    masks = [one for one in call.keywords if one.arg in ("attn_mask", "is_causal", "mask", "src_mask")]
    return any(not (isinstance(one.value, ast.Constant) and not one.value.value) for one in masks)


_FOLLOWER = re.compile(r"(?i)(^|_)(target|ema|momentum)(_|$)")
"""What a network is called that has to follow another."""
_LEAVES_AS_IT_IS = (
    "eval", "train", "to", "requires_grad_", "parameters", "state_dict", "forward", "cuda", "cpu",
)  # fmt: skip


def target_network(tree: Tree) -> Iterator[Hit]:
    """A network that is copied into itself, or that is called a target and never follows what it was copied from."""
    copies: dict[str, ast.expr] = {}
    for call in tree.calls("load_state_dict", "deepcopy"):
        given = call.args[0] if call.args else None
        owner = tree.parent.get(call)
        if last(call.func) == "load_state_dict":
            if not (isinstance(given, ast.Call) and last(given.func) == "state_dict"):
                continue
            network, source = base(call.func), base(given.func)
            if source == network:
                yield "target-not-updated", call, f"`{ast.unparse(call)}` copies a network into itself"
                return
        elif isinstance(owner, ast.Assign) and len(owner.targets) == 1:
            network = ast.unparse(owner.targets[0])
        else:
            continue
        if _FOLLOWER.search(network.rpartition(".")[2]):
            copies.setdefault(network, call)
    named = {last(one) for one in tree.nodes(ast.expr)} if copies else set()
    for network, copy in copies.items():
        used_in = {tree.function(call) for call in tree.calls() if ast.unparse(call.func) == network}
        updates = (node for node in ast.walk(tree.module) if _may_update(tree, node, network, copy))
        reached = (node for node in updates if _is_reached(tree, node, copy, used_in, named))
        if used_in and next(reached, None) is None:
            what = f"`{network}` is copied once (line {copy.lineno}) and nothing updates it later"
            yield "target-not-updated", copy, what


def _may_update(tree: Tree, node: ast.AST, network: str, copy: ast.expr) -> bool:
    """Whether a place may change a network's weights, other than its first copy."""
    if isinstance(node, ast.Assign):
        return node.value is not copy and network in map(ast.unparse, node.targets)
    if not isinstance(node, ast.Call) or node is copy or last(node.func) == "deepcopy":
        return False
    if base(node.func) == network:
        return last(node.func) not in _LEAVES_AS_IT_IS
    handed = (one for part in node.args for one in ast.walk(part) if ast.unparse(one) == network)
    # Itself, and not its answer.
    return any(getattr(tree.parent[one], "func", None) is not one for one in handed)


def _is_reached(
    tree: Tree, node: ast.AST, copy: ast.expr, used_in: set[Function | None], named: set[str]
) -> bool:
    """Whether a place is come to again after the first copy: in code that runs, or that something names."""
    own = tree.function(node)
    if not tree.loops(node) and own in (None, tree.function(copy)):
        return False
    return (own is None or own in used_in or own.name in named) and not any(map(_never, tree.above(node)))


def _never(node: ast.AST) -> bool:
    """Whether it is an ``if`` that a remainder cannot reach: ``step % 25 == 25``."""
    match getattr(node, "test", None) if isinstance(node, ast.If) else None:
        case ast.Compare(
            left=ast.BinOp(op=ast.Mod(), right=ast.Constant(value=int(divisor))),
            ops=[ast.Eq()],
            comparators=[ast.Constant(value=int(remainder))],
        ):
            return not 0 <= remainder < divisor
    return False


def kept_graph(tree: Tree) -> Iterator[Hit]:
    """A loss that is kept with its graph."""
    for backward in tree.calls("backward"):
        name = base(backward.func)
        loop = tree.loop(backward)
        for node in ast.walk(loop or tree.function(backward) or tree.module):
            if tree.loop(node) is not loop:  # of the steps that the loss is made of
                continue
            if isinstance(node, ast.Call) and last(node.func) == "append":
                if node.args and ast.unparse(node.args[0]) == name:
                    yield "graph-kept", node, f"`{ast.unparse(node)}` keeps the loss with its graph"
            elif _adds(node) and ast.unparse(node.value) == name != ast.unparse(node.target):
                yield "graph-kept", node, f"`{ast.unparse(node)}` adds up losses with their graphs"


def stale_optimizer(tree: Tree) -> Iterator[Hit]:
    """A layer that is replaced after an optimizer took the model's parameters, which is used as it is after that."""
    for node, optimizer in tree.made(*OPTIMIZERS):
        models = {_owner(base(call.func)) for call in tree.calls("parameters", within=optimizer)}
        scope = tree.function(node) or tree.module
        handed_in = " ".join(ast.unparse(call) for call in tree.calls("add_param_group", within=scope))
        for later in tree.nodes(ast.Assign, within=scope):
            target, written = later.targets[0], ast.unparse(later.targets[0])
            if (
                later.lineno > node.lineno
                and isinstance(later.value, ast.Call)
                and last(later.value.func)[:1].isupper()
                and isinstance(target, ast.Attribute | ast.Subscript)
                and _owner(written) in models
                and written not in handed_in
                and _is_used_after(tree, ast.unparse(node.targets[0]), later, scope)
            ):
                yield "stale-optimizer", later, f"`{ast.unparse(later)}` after the optimizer was made"


def _owner(written: str) -> str:
    """The model that a part belongs to, by its name: a variable, or an attribute of ``self``."""
    parts = re.split(r"[.\[]", written)
    return ".".join(parts[: 2 if parts[0] == "self" else 1])


def _is_used_after(tree: Tree, name: str, change: ast.stmt, scope: ast.AST) -> bool:
    """Whether what a name stands for is used after a change, and not made anew first; or elsewhere, by ``self``."""
    every: list[ast.Name | ast.Attribute] = [*tree.nodes(ast.Name), *tree.nodes(ast.Attribute)]
    named = [one for one in every if ast.unparse(one) == name]
    loop = set(ast.walk(tree.loops(change)[-1])) if tree.loops(change) else set[ast.AST]()
    # What follows, or what comes before it at the next turn of a loop: that is before what comes after the loop.
    inside = set(ast.walk(scope))
    after = [one for one in named if one in inside and (one.lineno > change.lineno or one in loop)]
    order = sorted(
        after, key=lambda one: (one not in loop, one.lineno < change.lineno, one.lineno, one.col_offset)
    )
    if order:
        return isinstance(order[0].ctx, ast.Load)
    if "." not in name and scope is not tree.module:
        return False
    others = [one for one in named if tree.function(one) not in (None, scope)]
    own = {tree.function(one) for one in others if isinstance(one.ctx, ast.Store)}
    own |= {one for one in tree.nodes(ast.FunctionDef) if name in {each.arg for each in one.args.args}}
    return any(tree.function(one) not in own for one in others)


def misspelt_freeze(tree: Tree) -> Iterator[Hit]:
    """``require_grad = False``, or a comparison where an assignment was meant."""
    for node in tree.nodes(ast.stmt):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Attribute) and target.attr in MISSPELT:
                yield "missing-freeze", node, f"`{ast.unparse(node)}`: the attribute is requires_grad"
        compares = isinstance(node, ast.Expr) and isinstance(node.value, ast.Compare)
        if compares and "requires_grad" in ast.unparse(node):
            yield "missing-freeze", node, f"`{ast.unparse(node)}` compares and changes nothing"


def undone_freeze(tree: Tree) -> Iterator[Hit]:
    """A part that is frozen, and the whole that is thawed right after it."""
    frozen: set[str] = set()
    for node in sorted(tree.nodes(ast.stmt), key=lambda one: (one.lineno, one.col_offset)):
        if isinstance(node, ast.For):
            written = ast.unparse(node)
            if "requires_grad" in written and "False" in written and "backward" not in written:
                frozen.add(next((base(c.func) for c in tree.nodes(ast.Call, within=node.iter)), ""))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if last(node.value.func) != "requires_grad_":
                continue
            owner = base(node.value.func)
            if any(is_constant(one, False) for one in node.value.args):
                frozen.add(owner)
            elif tree.loop(node.value) is None:
                held = {name for value in tree.assigned(owner, tree.module) for name in names_in(value)}
                if any(part.startswith(f"{owner}.") or part in held for part in frozen):
                    what = f"`{ast.unparse(node)}` thaws again what was frozen before"
                    yield "missing-freeze", node, what


def schedule(tree: Tree) -> Iterator[Hit]:
    """A scheduler made for epochs that is stepped at every batch."""
    for node, made in tree.made():
        name, said = last(made.func), ast.unparse(made).lower()
        if not name.endswith(("LR", "Restarts")):
            continue
        # Made for batches: it says how many there are, or knows only batches.
        if "len(" in said or "steps" in said or name in _BY_BATCH:
            continue
        for call in tree.calls("step"):
            loops = tree.loops(call)
            if len(loops) < 2 or base(call.func) != ast.unparse(node.targets[0]):
                continue
            if any(tree.loop(one) is loops[0] for one in tree.calls("backward")) and (
                _counts_epochs(made, loops[1:]) or _left_of_rate(tree, made, loops) <= _NEXT_TO_NOTHING
            ):
                what = f"`{ast.unparse(call)}` at every batch, of a schedule for epochs"
                yield "learning-rate-vanished", call, what


def _counts_epochs(made: ast.Call, epochs: Sequence[Loop]) -> bool:
    """Whether a schedule is given the number of turns of a loop around that of the batches: ``T_max=epochs``."""
    ends = {ast.unparse(end) for one in epochs for end in _ends(one) if not isinstance(end, ast.Constant)}
    return any(ast.unparse(one) in ends for one in (*made.args, *(one.value for one in made.keywords)))


def _ends(loop: Loop) -> list[ast.expr]:
    """What is given to the ``range`` that a loop goes through."""
    through = None if isinstance(loop, ast.While) else loop.iter
    return through.args if isinstance(through, ast.Call) and last(through.func) in ("range", "trange") else []


def _left_of_rate(tree: Tree, made: ast.Call, loops: Sequence[Loop]) -> float:
    """The share of the rate that is left at the end of some loops; 1 where the arguments do not say it."""
    told: dict[str | None, ast.expr] = dict(
        zip(_BY_EPOCH.get(last(made.func), ()), made.args[1:], strict=False)
    )
    told |= {one.arg: one.value for one in made.keywords}
    each = _value(tree, told.get("step_size", ast.Constant(1)))
    gamma = _value(tree, told.get("gamma", ast.Constant(0.1)))
    places = _value(tree, told.get("milestones"))
    if last(made.func) not in _BY_EPOCH or not isinstance(each, int) or not isinstance(gamma, int | float):
        return 1.0
    turns = 1
    for loop in loops:
        end = [_value(tree, one) for one in _ends(loop)]
        turns *= end[0] if len(end) == 1 and isinstance(end[0], int) else _LIKELY_TURNS
    if last(made.func) == "MultiStepLR":
        falls = sum(one <= turns for one in places) if isinstance(places, list | tuple) else 0
    else:
        falls = turns // max(each, 1)
    return float(min(abs(gamma), 1.0) ** falls)


def _value(tree: Tree, node: ast.expr | None) -> object:
    """What an expression stands for, written there or assigned to its name once; ``None`` where that is not known."""
    if isinstance(node, ast.Name):
        assigned = tree.assigned(node.id, tree.module)
        node = assigned[0] if len(assigned) == 1 else None
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


_NEXT_TO_NOTHING = 1.001e-3
"""Of the rate that a schedule starts with: a training at less has come to a stand."""
_LIKELY_TURNS = 16
"""Of a loop that does not say how many it makes: few, for the rate falls with each."""
_BY_BATCH = ("OneCycleLR", "CyclicLR", "CosineAnnealingWarmRestarts")
_BY_EPOCH = {
    "StepLR": ("step_size", "gamma"),
    "ExponentialLR": ("gamma",),
    "MultiStepLR": ("milestones", "gamma"),
}
"""Schedules that only fall, and what they are told after the optimizer."""


def cut_graph(tree: Tree) -> Iterator[Hit]:
    """A forward pass that cuts off a layer of its own: one that is not frozen and that no other path leads to."""
    own = {last(target) for one in tree.nodes(ast.Assign) for target in one.targets} - _frozen(tree)
    for forward in (one for one in tree.nodes(ast.FunctionDef) if one.name == "forward"):
        layers = [call for call in tree.calls(within=tree.parent[forward]) if _is_layer(tree, call, own)]
        for node in ast.walk(forward):
            if isinstance(node, ast.Call) and last(node.func) == "detach":
                what = f"`{ast.unparse(node)}` in forward()"
                cut, answer = (
                    _cut_off(tree, node.func, forward, layers),
                    _is_first_answer(tree, node, forward),
                )
            elif isinstance(node, ast.With) and without_gradients(node):
                what = f"`with {ast.unparse(node.items[0])}` in forward()"
                cut, answer = [one for one in ast.walk(node) if one in layers], False
            else:
                continue
            others = (one for one in layers if one not in cut and not _is_cut(tree, one))
            reached = {ast.unparse(one.func) for one in others}
            if answer or any(ast.unparse(one.func) not in reached for one in tree.calls() if one in cut):
                yield "no-gradient", node, what


def _is_layer(tree: Tree, call: ast.Call, own: set[str]) -> bool:
    """Whether it calls an attribute of ``self`` that is made in the script, or a method that calls one."""
    name, method = last(call.func), tree.functions().get(last(call.func))
    if base(call.func) != "self":
        return False
    if method is None:
        return name in own
    inner = tree.calls(within=method)
    return any(base(one.func) == "self" and last(one.func) in own - {*tree.functions()} for one in inner)


def _is_cut(tree: Tree, node: ast.AST) -> bool:
    above = list(tree.above(node))
    return any(without_gradients(one) or last(getattr(one, "func", one)) == "detach" for one in above)


def _cut_off(tree: Tree, node: ast.AST, forward: ast.AST, layers: list[ast.Call]) -> list[ast.AST]:
    """Calls of layers whose results go nowhere but into an expression, directly or by names."""
    found: list[ast.AST] = [one for one in ast.walk(node) if one in layers]
    for name in names_in(node):
        value, elsewhere = _value_and_uses(tree, name, node, forward)
        if value is not None and not elsewhere:
            found += _cut_off(tree, value, forward, layers)
    return found


def _value_and_uses(
    tree: Tree, name: str, node: ast.AST, forward: ast.AST
) -> tuple[ast.expr | None, list[ast.AST]]:
    """What a name stands for at a place, and where else it does so with its graph."""

    def place(one: ast.AST) -> tuple[int, int]:
        statement = tree.statement(one)
        return statement.lineno, statement.col_offset

    stores = {
        place(one): one.value
        for one in tree.nodes(ast.Assign, within=forward)
        if any(isinstance(part, ast.Name) and part.id == name for to in one.targets for part in ast.walk(to))
    }
    start = max((one for one in stores if one < place(node)), default=(0, 0))
    end = min((one for one in stores if one > start), default=(sys.maxsize, 0))
    named = (one for one in tree.nodes(ast.Name, within=forward) if one.id == name)
    loads = (one for one in named if isinstance(one.ctx, ast.Load) and start < place(one) <= end)
    here = set(ast.walk(node))
    return stores.get(start), [one for one in loads if one not in here and not _is_cut(tree, one)]


def _is_first_answer(tree: Tree, node: ast.Call, forward: ast.AST) -> bool:
    """Whether a name is detached that is the answer, or the first of several, and that nothing else reads."""
    parent = tree.parent[node]
    if isinstance(parent, ast.Tuple) and parent.elts[0] is node:
        parent = tree.parent[parent]
    value = node.func.value if isinstance(node.func, ast.Attribute) else None
    if not isinstance(parent, ast.Return) or not isinstance(value, ast.Name):
        return False
    return not _value_and_uses(tree, value.id, node, forward)[1]


def _frozen(tree: Tree) -> set[str]:
    """Last names of what the script takes the gradients from, by ``requires_grad_(False)`` or in a loop."""
    found: set[str] = set()
    for call in tree.calls("requires_grad_"):
        if isinstance(call.func, ast.Attribute) and any(is_constant(one, False) for one in call.args):
            statement = tree.statement(call)
            made = statement.targets if isinstance(statement, ast.Assign) else []
            found |= {last(call.func.value), *map(last, made)}
    for loop in tree.nodes(ast.For):
        written = "".join(map(ast.unparse, loop.body))
        zipped = isinstance(loop.iter, ast.Call) and last(loop.iter.func) == "zip"
        targets = loop.target.elts if zipped and isinstance(loop.target, ast.Tuple) else [loop.target]
        through = loop.iter.args if zipped and isinstance(loop.iter, ast.Call) else [loop.iter]
        for target, given in zip(targets, through, strict=False):
            names = "|".join(names_in(target))
            if re.search(rf"\b({names})\.requires_grad(_\(| = )False", written):
                found |= {
                    last(one.func.value)
                    for one in tree.calls(within=given)
                    if isinstance(one.func, ast.Attribute)
                }
                found |= {part for text in re.findall(r"'([\w.]+)'", written) for part in text.split(".")}
    for name, function in tree.functions().items():
        if found & {one.arg for one in function.args.args}:
            found |= {last(one) for call in tree.calls(name) for one in call.args}
    return found - {""}


def order_of_clearing(tree: Tree) -> Iterator[Hit]:
    """Gradients that are cleared between ``backward`` and ``step``."""
    for backward in tree.calls("backward"):
        statement = tree.statement(backward)
        for body in (getattr(tree.parent.get(statement), name, None) for name in ("body", "orelse")):
            if not isinstance(body, list) or statement not in body:
                continue
            cleared: dict[str, ast.stmt] = {}
            for later in body[body.index(statement) + 1 :]:
                if calls := tree.calls("zero_grad", within=later):
                    cleared |= {base(call.func): later for call in calls}
                elif steps := tree.calls("step", within=later):
                    stepped = {name for call in steps for name in _moves(tree, call)}
                    if place := next((one for name, one in cleared.items() if name in stepped), None):
                        what = "the gradients are cleared between backward() and step()"
                        yield "no-gradient", place, what
                    break
                elif tree.calls("backward", within=later):
                    break


def _moves(tree: Tree, step: ast.Call) -> set[str]:
    """The optimizer that makes a step, by itself or by a scaler, and the models whose parameters it has."""
    steps = [*step.args, *([step.func.value] if isinstance(step.func, ast.Attribute) else [])]
    made = (one for optimizer in steps for one in tree.origins(optimizer) if isinstance(one, ast.Call))
    return {*map(ast.unparse, steps), *(base(one.func) for one in made if last(one.func) == "parameters")}


def shuffled_apart(tree: Tree) -> Iterator[Hit]:
    """Inputs that are put in another order than their targets."""
    for call in tree.nodes(ast.Call):
        told = {one.arg: one.value for one in call.keywords}
        fixed = is_constant(told.get("shuffle", call), False) and not {"sampler", "batch_sampler"} & {*told}
        if (
            last(call.func) == "DataLoader"
            and fixed
            and any("train" in name.lower() for name in names_in(call))
            and not _carries_state(tree)
        ):
            yield "data-not-shuffled", call, "shuffle=False of the training data"
    losses = [node.args[:2] for node in tree.nodes(ast.Call) if tree.loss_of(node) and len(node.args) > 1]
    for node in tree.nodes(ast.Subscript):
        permuted = isinstance(node.slice, ast.Call) and last(node.slice.func) == "randperm"
        # Of a set that holds both, or of other samples to compare with, an order of its own is no fault.
        if permuted and any(node in tree.origins(y) and node not in tree.origins(x) for x, y in losses):
            yield "labels-unrelated", node, f"`{ast.unparse(node)}`: an order of its own"


def _carries_state(tree: Tree) -> bool:
    """Whether a state goes from batch to batch, as of a series in order of time: ``y, h = model(x, h)`` in a loop."""
    for node, call in tree.made():
        target, loop = node.targets[0], tree.loop(node)
        if isinstance(target, ast.Tuple) and isinstance(loop, ast.For):
            given = {ast.unparse(one) for one in call.args} - names_in(loop.target)
            if given & {ast.unparse(one) for one in target.elts}:
                return True
    return False


RULES: tuple[Rule, ...] = (
    missing_zero_grad,
    turned_sign,
    softmax,
    modes,
    target_network,
    kept_graph,
    stale_optimizer,
    misspelt_freeze,
    undone_freeze,
    schedule,
    cut_graph,
    order_of_clearing,
    shuffled_apart,
)


def hits(tree: Tree) -> Iterator[Hit]:
    """What all rules find."""
    for rule in RULES:
        yield from rule(tree)
