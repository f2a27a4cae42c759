"""Rules: each looks at a training script for one cause."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from argus_doctor.lint.tree import Function, Tree, base, last, names_in

Hit = tuple[str, ast.expr | ast.stmt, str]
"""Cause, place, what is seen there."""
Rule = Callable[[Tree], Iterator[Hit]]

OPTIMIZERS = {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax", "Adadelta", "LBFGS"}
SOFT = {"softmax", "Softmax", "sigmoid", "Sigmoid"}
MISSPELT = ("require_grad", "requires_grads", "require_grads", "required_grad", "grad_required")
"""What is written for ``requires_grad``."""
_ATTENTION = ("MultiheadAttention", "TransformerEncoder", "TransformerEncoderLayer")
_NEEDS_SCORES = {"cross_entropy", "CrossEntropyLoss"}
_NEEDS_BINARY_SCORES = {"binary_cross_entropy_with_logits", "BCEWithLogitsLoss"}
_NEEDS_LOGARITHMS = {"nll_loss", "NLLLoss"}
_COMPARES = {"kl_div", "KLDivLoss"}


def missing_zero_grad(tree: Tree) -> Iterator[Hit]:
    """``backward`` and ``step`` in a loop that clears no gradient."""
    for backward in tree.calls("backward"):
        loops = tree.loops(backward)
        function = tree.function(backward)
        scope: ast.AST = loops[0] if loops else function or tree.module
        if not tree.calls("step", within=scope):
            continue
        if _clears(scope):
            continue
        # A training step of its own may be cleared for by its caller.
        elsewhere = _clears(tree.module)
        called = {last(call.func) for call in ast.walk(scope) if isinstance(call, ast.Call)}
        helpers = [one for name, one in tree.functions().items() if name in called and _clears(one)]
        if helpers or (not loops and elsewhere):
            continue
        yield (
            "missing-zero-grad",
            backward,
            "no zero_grad() in the loop that calls backward() and step()",
        )


def _clears(scope: ast.AST) -> bool:
    for node in ast.walk(scope):
        if isinstance(node, ast.Call) and (
            last(node.func) == "zero_grad"
            or (last(node.func) in ("zero_", "fill_") and ".grad" in ast.unparse(node.func))
        ):
            return True
        if isinstance(node, ast.Assign) and any(last(t) == "grad" for t in node.targets):
            return True
        if isinstance(node, ast.Call) and "autograd.grad" in ast.unparse(node.func):
            return True
    return False


def turned_sign(tree: Tree) -> Iterator[Hit]:
    """A loss with a minus before it, or an optimizer told to maximise; of both, neither."""
    minimised = {base(call.func) for call in tree.calls("backward")}
    upwards = "maximize=True" in ast.unparse(tree.module)
    negated = any(isinstance(one, ast.UnaryOp) and tree.loss_of(one.operand) for one in ast.walk(tree.module))
    for node in ast.walk(tree.module):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not upwards:
            statement = tree.statement(node)
            # A name of its own may be negated again: only what is minimised itself tells.
            itself = not isinstance(statement, ast.Assign) or ast.unparse(statement.targets[0]) in minimised
            if tree.loss_of(node.operand) is not None and itself:
                yield "wrong-sign", node, f"`{ast.unparse(node)}`: the loss is negated"
            elif isinstance(tree.parent.get(node), ast.Attribute) and last(tree.parent[node]) == "backward":
                yield "wrong-sign", node, f"`{ast.unparse(tree.parent[node])}()`: the loss is negated"
        if isinstance(node, ast.Call) and last(node.func) in OPTIMIZERS and not negated:
            for keyword in node.keywords:
                if (
                    keyword.arg == "maximize"
                    and isinstance(keyword.value, ast.Constant)
                    and keyword.value.value is True
                ):
                    yield "wrong-sign", node, "maximize=True: the optimizer makes the loss greater"
        if (
            isinstance(node, ast.AugAssign)
            and isinstance(node.op, ast.Add)
            and ".grad" in ast.unparse(node.value)
        ):
            yield "wrong-sign", node, f"`{ast.unparse(node)}`: goes up the gradient"


def softmax(tree: Tree) -> Iterator[Hit]:
    """Softmax before a loss that has its own, or none before one that needs it."""
    used = {tree.loss_of(node): node for node in ast.walk(tree.module) if tree.loss_of(node)}
    names = set(used)
    for node in ast.walk(tree.module):
        loss = tree.loss_of(node)
        if not isinstance(node, ast.Call) or loss is None or not node.args:
            continue
        for given in node.args[:2]:
            if loss in _NEEDS_LOGARITHMS | _COMPARES and _softens_samples(given):
                yield (
                    "softmax-wrong-dimension",
                    given,
                    f"`{ast.unparse(given)}` adds up to 1 over the first dimension, the samples",
                )
        soft = _soft(tree, node.args[0], tree.function(node) or tree.module)
        if (loss in _NEEDS_SCORES and soft in SOFT) or (
            loss in _NEEDS_BINARY_SCORES and soft in ("sigmoid", "Sigmoid")
        ):
            yield "double-softmax", node, f"{soft} of the outputs goes into {loss}, which takes scores"
        if loss in _NEEDS_LOGARITHMS and soft in ("softmax", "Softmax"):
            yield (
                "missing-softmax",
                node,
                f"{soft} goes into {loss}, which takes logarithms of probabilities",
            )
    for made in (node for node in ast.walk(tree.module) if isinstance(node, ast.ClassDef)):
        forward = next((f for f in made.body if isinstance(f, ast.FunctionDef) and f.name == "forward"), None)
        returned = (
            [] if forward is None else [n for n in ast.walk(forward) if isinstance(n, ast.Return) and n.value]
        )
        for one in returned:
            soft = _soft(tree, one.value, forward) if one.value is not None and forward is not None else None
            yield from _at_the_end(soft, one, names)
    for call in tree.calls("Sequential"):
        if call.args and isinstance(call.args[-1], ast.Call) and _is_answer(tree, call):
            yield from _at_the_end(last(call.args[-1].func), call.args[-1], names)


def _softens_samples(node: ast.expr) -> bool:
    """Whether it is a softmax over dimension 0."""
    if not isinstance(node, ast.Call) or last(node.func) not in ("softmax", "log_softmax"):
        return False
    method = not isinstance(node.func, ast.Attribute) or base(node.func) in ("F", "torch", "nn.functional")
    places = [*node.args[1 if method else 0 :][:1], *(k.value for k in node.keywords if k.arg == "dim")]
    return any(isinstance(one, ast.Constant) and one.value == 0 for one in places)


def _is_answer(tree: Tree, part: ast.Call) -> bool:
    """Whether a part of a model gives what ``forward`` returns, as it is: attention within it may end in a softmax."""
    made = tree.parent.get(part)
    if not isinstance(made, ast.Assign) or not isinstance(made.targets[0], ast.Attribute):
        return True
    name = ast.unparse(made.targets[0])
    owner = next((one for one in tree.above(part) if isinstance(one, ast.ClassDef)), tree.module)
    for returned in (node.value for node in ast.walk(owner) if isinstance(node, ast.Return) and node.value):
        for one in returned.elts if isinstance(returned, ast.Tuple) else [returned]:
            values = [one, *(tree.assigned(one.id, owner) if isinstance(one, ast.Name) else [])]
            if any(isinstance(value, ast.Call) and ast.unparse(value.func) == name for value in values):
                return True
    return False


def _at_the_end(soft: str | None, node: ast.expr | ast.stmt, losses: set[str | None]) -> Iterator[Hit]:
    binary = soft in ("sigmoid", "Sigmoid") and losses & {"binary_cross_entropy", "BCELoss"}
    if soft in SOFT and losses & _NEEDS_SCORES and not binary:
        yield "double-softmax", node, f"the model ends in {soft}, and cross-entropy takes scores"
    elif soft in ("sigmoid", "Sigmoid") and losses & _NEEDS_BINARY_SCORES:
        yield "double-softmax", node, f"the model ends in {soft}, and the loss has one of its own"
    elif soft in ("softmax", "Softmax") and losses & _NEEDS_LOGARITHMS:
        yield "missing-softmax", node, f"the model ends in {soft}, and the loss takes logarithms"


def _soft(tree: Tree, node: ast.expr, scope: ast.AST) -> str | None:
    """The activation that an expression is the result of, directly or by a name."""
    if isinstance(node, ast.Call):
        name = last(node.func)
        if name in SOFT:
            return name
        if isinstance(node.func, ast.Call):
            return last(node.func.func) if last(node.func.func) in SOFT else None
        return None
    if isinstance(node, ast.Name):
        values = tree.assigned(node.id, scope)
        if values and not (isinstance(values[-1], ast.Name) and values[-1].id == node.id):
            inner = values[-1]
            if isinstance(inner, ast.Call) and last(inner.func) in SOFT:
                return last(inner.func)
    return None


def modes(tree: Tree) -> Iterator[Hit]:
    """``eval()`` without ``train()``, and evaluation without ``eval()``."""
    evals, functions = tree.calls("eval"), tree.functions()
    for backward in tree.calls("backward"):
        for loop in tree.loops(backward):
            inside = [c for c in tree.calls("eval", within=loop) if base(c.func) and not c.args]
            called = {last(c.func) for c in ast.walk(loop) if isinstance(c, ast.Call)}
            helpers = [functions[name] for name in called if name in functions]
            inside += [
                c for one in helpers for c in tree.calls("eval", within=one) if base(c.func) and not c.args
            ]
            trains = tree.calls("train", within=loop) + [
                c for one in helpers for c in tree.calls("train", within=one)
            ]
            trains = [c for c in trains if base(c.func)]
            if inside and not trains:
                yield (
                    "training-in-evaluation-mode",
                    inside[0],
                    f"`{ast.unparse(inside[0])}` in the training loop, and no train() after it",
                )
                return
    if not any(base(c.func) and not c.args for c in evals):
        text = ast.unparse(tree.module)
        if not any(word in text for word in ("Dropout", "BatchNorm", "dropout")):
            return
        for node in ast.walk(tree.module):
            guarded = isinstance(node, ast.With) and any(
                "no_grad" in ast.unparse(i) or "inference_mode" in ast.unparse(i) for i in node.items
            )
            guarded = guarded or (
                isinstance(node, ast.FunctionDef)
                and any("no_grad" in ast.unparse(d) for d in node.decorator_list)
            )
            if (
                guarded
                and not tree.calls("train", within=tree.function(node) or node)
                and isinstance(node, (ast.With, ast.FunctionDef))
                and any(isinstance(n, ast.Call) for n in ast.walk(node))
            ):
                yield (
                    "evaluation-in-training-mode",
                    node,
                    "evaluation without eval(), of a model with dropout or batch normalisation",
                )
                return


def unmasked_attention(tree: Tree) -> ast.Call | None:
    """The first call of PyTorch's attention without a mask, where none has one: no fault but of a causal model."""
    made = {
        ast.unparse(node.targets[0])
        for node in ast.walk(tree.module)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and last(node.value.func) in _ATTENTION
    }
    calls = [
        call
        for call in tree.calls()
        if last(call.func) == "scaled_dot_product_attention" or ast.unparse(call.func) in made
    ]
    return None if any(_is_masked(call) for call in calls) else next(iter(calls), None)


def _is_masked(call: ast.Call) -> bool:
    """Whether a call of attention has a mask, or something that may be one."""
    if len(call.args) not in (1, 3) or any(one.arg is None for one in call.keywords):
        return True
    masks = [one for one in call.keywords if one.arg in ("attn_mask", "is_causal", "mask", "src_mask")]
    return any(not (isinstance(one.value, ast.Constant) and not one.value.value) for one in masks)


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
    named = {last(one) for one in ast.walk(tree.module) if isinstance(one, ast.expr)} if copies else set()
    for network, copy in copies.items():
        used_in = {tree.function(call) for call in tree.calls() if ast.unparse(call.func) == network}
        updates = (node for node in ast.walk(tree.module) if _may_update(tree, node, network, copy))
        reached = (node for node in updates if _is_reached(tree, node, copy, used_in, named))
        if used_in and next(reached, None) is None:
            what = f"`{network}` is copied once (line {copy.lineno}) and nothing updates it later"
            yield "target-not-updated", copy, what


_FOLLOWER = re.compile(r"(?i)(^|_)(target|ema|momentum)(_|$)")
"""What a network is called that has to follow another."""
_LEAVES_AS_IT_IS = {
    "eval",
    "train",
    "to",
    "requires_grad_",
    "parameters",
    "state_dict",
    "forward",
    "cuda",
    "cpu",
}


def _may_update(tree: Tree, node: ast.AST, network: str, copy: ast.expr) -> bool:
    """Whether a place may change a network's weights, other than its first copy."""
    if isinstance(node, ast.Assign):
        return node.value is not copy and network in map(ast.unparse, node.targets)
    if not isinstance(node, ast.Call) or node is copy or last(node.func) == "deepcopy":
        return False
    if base(node.func) == network:
        return last(node.func) not in _LEAVES_AS_IT_IS
    handed = (one for part in node.args for one in ast.walk(part) if ast.unparse(one) == network)
    return any(
        getattr(tree.parent[one], "func", None) is not one for one in handed
    )  # itself, and not its answer


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
    test = node.test if isinstance(node, ast.If) else None
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    left, right = test.left, test.comparators[0]
    return (
        isinstance(left, ast.BinOp)
        and isinstance(left.op, ast.Mod)
        and isinstance(left.right, ast.Constant)
        and isinstance(right, ast.Constant)
        and isinstance(left.right.value, int)
        and isinstance(right.value, int)
        and not 0 <= right.value < left.right.value
    )


def kept_graph(tree: Tree) -> Iterator[Hit]:
    """A loss that is kept with its graph."""
    for backward in tree.calls("backward"):
        name = base(backward.func)
        scope = tree.loop(backward) or tree.function(backward) or tree.module
        for node in ast.walk(scope):
            if (
                isinstance(node, ast.Call)
                and last(node.func) == "append"
                and node.args
                and ast.unparse(node.args[0]) == name
            ):
                yield "graph-kept", node, f"`{ast.unparse(node)}` keeps the loss with its graph"
            if (
                isinstance(node, ast.AugAssign)
                and isinstance(node.op, ast.Add)
                and ast.unparse(node.value) == name
                and ast.unparse(node.target) != name
            ):
                yield "graph-kept", node, f"`{ast.unparse(node)}` adds up losses with their graphs"


def stale_optimizer(tree: Tree) -> Iterator[Hit]:
    """A layer that is replaced after the optimizer took the model's parameters."""
    for node in ast.walk(tree.module):
        if not (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and last(node.value.func) in OPTIMIZERS
        ):
            continue
        models = {
            base(c.func).split(".")[0]
            for c in ast.walk(node.value)
            if isinstance(c, ast.Call) and last(c.func) == "parameters"
        }
        scope = tree.function(node) or tree.module
        handed_in = " ".join(ast.unparse(call) for call in tree.calls("add_param_group", within=scope))
        for later in ast.walk(scope):
            if (
                isinstance(later, ast.Assign)
                and ast.unparse(later.targets[0]) not in handed_in
                and later.lineno > node.lineno
                and isinstance(later.value, ast.Call)
            ):
                target = later.targets[0]
                if (
                    isinstance(target, (ast.Attribute, ast.Subscript))
                    and ast.unparse(target).split(".")[0].split("[")[0] in models
                    and last(later.value.func)[:1].isupper()
                ):
                    yield (
                        "stale-optimizer",
                        later,
                        f"`{ast.unparse(later)}` after the optimizer was made",
                    )


def misspelt_freeze(tree: Tree) -> Iterator[Hit]:
    """``require_grad = False``, or a comparison where an assignment was meant."""
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr in MISSPELT:
                    yield (
                        "missing-freeze",
                        node,
                        f"`{ast.unparse(node)}`: the attribute is requires_grad",
                    )
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Compare)
            and "requires_grad" in ast.unparse(node.value)
        ):
            yield "missing-freeze", node, f"`{ast.unparse(node)}` compares and changes nothing"


def undone_freeze(tree: Tree) -> Iterator[Hit]:
    """A part that is frozen, and the whole that is thawed right after it."""
    frozen: dict[str, int] = {}
    for node in sorted(
        (n for n in ast.walk(tree.module) if isinstance(n, ast.stmt)), key=lambda n: (n.lineno, n.col_offset)
    ):
        written = ast.unparse(node) if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) else ""
        if (
            isinstance(node, ast.For)
            and "requires_grad" in written
            and "False" in written
            and "backward" not in written
        ):
            owner = next((base(c.func) for c in ast.walk(node.iter) if isinstance(c, ast.Call)), "")
            frozen[owner] = node.lineno
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and last(node.value.func) == "requires_grad_"
        ):
            owner = base(node.value.func)
            off = any(isinstance(one, ast.Constant) and one.value is False for one in node.value.args)
            if off:
                frozen[owner] = node.lineno
            elif tree.loop(node.value) is None:
                held = {name for value in tree.assigned(owner, tree.module) for name in names_in(value)}
                if any(part.startswith(f"{owner}.") or part in held for part in frozen):
                    yield "missing-freeze", node, f"`{written}` thaws again what was frozen before"


def schedule(tree: Tree) -> Iterator[Hit]:
    """A scheduler made for epochs that is stepped at every batch."""
    for node in ast.walk(tree.module):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        name = last(node.value.func)
        if not name.endswith(("LR", "Restarts")):
            continue
        scheduler = ast.unparse(node.targets[0])
        said = ast.unparse(node.value).lower()
        by_epoch = "epoch" in said or name in ("StepLR", "ExponentialLR", "MultiStepLR")
        # Made for batches: it says how many there are, or knows only batches.
        if (
            "len(" in said
            or "steps" in said
            or name in ("OneCycleLR", "CyclicLR", "CosineAnnealingWarmRestarts")
        ):
            continue
        for call in tree.calls("step"):
            inner = tree.loops(call)
            if (
                base(call.func) == scheduler
                and by_epoch
                and inner
                and tree.calls("backward", within=inner[0])
                and (len(inner) > 1 or "epoch" in said)
            ):
                yield (
                    "learning-rate-vanished",
                    call,
                    f"`{ast.unparse(call)}` at every batch, of a schedule for epochs",
                )


def cut_graph(tree: Tree) -> Iterator[Hit]:
    """A forward pass that cuts its own graph."""
    for made in (
        node for node in ast.walk(tree.module) if isinstance(node, ast.FunctionDef) and node.name == "forward"
    ):
        for node in ast.walk(made):
            if isinstance(node, ast.Call) and last(node.func) == "detach":
                yield "no-gradient", node, f"`{ast.unparse(node)}` in forward()"
            if isinstance(node, ast.With) and any("no_grad" in ast.unparse(item) for item in node.items):
                yield "no-gradient", node, "no_grad() in forward()"


def order_of_clearing(tree: Tree) -> Iterator[Hit]:
    """Gradients that are cleared between ``backward`` and ``step``."""
    for backward in tree.calls("backward"):
        statement = tree.statement(backward)
        for body in (getattr(tree.parent.get(statement), name, None) for name in ("body", "orelse")):
            if not isinstance(body, list) or statement not in body:
                continue
            cleared = None
            for later in body[body.index(statement) + 1 :]:
                if tree.calls("zero_grad", within=later):
                    cleared = later
                elif tree.calls("step", within=later):
                    if cleared is not None:
                        yield (
                            "no-gradient",
                            cleared,
                            "the gradients are cleared between backward() and step()",
                        )
                    break
                elif tree.calls("backward", within=later):
                    break


def shuffled_apart(tree: Tree) -> Iterator[Hit]:
    """Inputs that are put in another order than their targets."""
    for node in ast.walk(tree.module):
        if isinstance(node, ast.Call) and last(node.func) == "DataLoader":
            off = [
                k
                for k in node.keywords
                if k.arg == "shuffle" and isinstance(k.value, ast.Constant) and k.value.value is False
            ]
            if off and any("train" in name.lower() for name in names_in(node)):
                yield "data-not-shuffled", node, "shuffle=False of the training data"
    for node in ast.walk(tree.module):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Call)
            and last(node.slice.func) == "randperm"
        ):
            yield "labels-unrelated", node, f"`{ast.unparse(node)}`: an order of its own"


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
