"""Models and loops that nobody thought of: training goes on as it would, and the watch says what it can."""

from __future__ import annotations

import copy
import os
import pickle
import re
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint

from argus_doctor import Watch
from argus_doctor.errors import ArgusError
from argus_doctor.record.parameters import ParameterRecord

Pair = namedtuple("Pair", ["scores", "state"])


@dataclass
class Answer:
    scores: Tensor
    name: str = "answer"


class Wrapped(nn.Module):
    """A small classifier whose output is put into something."""

    def __init__(self, wrap: Callable[[Tensor], Any] = lambda scores: scores) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.drop, self.head = nn.Linear(6, 16), nn.Dropout(0.1), nn.Linear(16, 3)
        self.wrap = wrap

    def forward(self, inputs: Tensor) -> Any:
        return self.wrap(self.head(self.drop(F.relu(self.body(inputs)))))


def batches(steps: int = 15) -> Iterator[tuple[Tensor, Tensor]]:
    rng = torch.Generator().manual_seed(0)
    for _ in range(steps):
        inputs = torch.randn(16, 6, generator=rng)
        yield inputs, inputs[:, :3].argmax(1)


def train(
    model: nn.Module,
    scores_of: Callable[[Any], Tensor] = lambda output: output,
    *,
    call: Callable[[Tensor], Any] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    steps: int = 15,
    before: Callable[[int], Any] = lambda step: None,
    told: Callable[[Tensor, Tensor], Any] = lambda *pair: pair,
    probe: bool = False,
    **seen: Any,
) -> Watch:
    """The plain loop; ``told`` makes the batch that the watch is given, and ``seen`` replaces what it is given."""
    optimizer = torch.optim.SGD(model.parameters(), 0.05) if optimizer is None else optimizer
    watch = Watch(model, optimizer, source=False, probe=probe)
    for number, (inputs, targets) in enumerate(batches(steps)):
        before(number)
        optimizer.zero_grad()
        loss = F.cross_entropy(scores_of((call or model)(inputs)), targets)
        loss.backward()
        optimizer.step()
        watch.step(**({"loss": loss, "batch": told(inputs, targets)} | seen))
    return watch


@pytest.mark.parametrize(
    ("wrap", "scores_of"),
    [
        (lambda s: (s, None, "text"), lambda o: o[0]),
        (lambda s: {"scores": s, "meta": {"n": 3}}, lambda o: o["scores"]),
        (lambda s: [{"deep": (s, [s.detach()])}], lambda o: o[0]["deep"][0]),
        (lambda s: Pair(s, 0), lambda o: o.scores),
        (Answer, lambda o: o.scores),
    ],
    ids=["tuple", "mapping", "nested", "namedtuple", "dataclass"],
)
def test_outputs_of_any_shape_are_looked_into(wrap: Any, scores_of: Any) -> None:
    watch = train(Wrapped(wrap), scores_of)
    assert {one.best for one in watch.evidence.objectives} == {"cross-entropy"}
    assert watch.report() == []


@dataclass
class Batch:
    inputs: Tensor
    targets: Tensor
    paths: list[str]


class Opened(Wrapped):
    def forward(self, inputs: Tensor | Batch) -> Any:
        return super().forward(inputs.inputs if isinstance(inputs, Batch) else inputs)


@pytest.mark.parametrize("whole", [False, True])
def test_a_batch_of_a_dataclass_beside_what_is_no_tensor(whole: bool) -> None:
    model = Opened()

    def call(inputs: Tensor) -> Any:
        return model(Batch(inputs, inputs, ["a.jpg"]) if whole else inputs)

    # Samples cannot swap what is within it.
    watch = train(model, call=call, told=lambda *pair: Batch(*pair, ["a.jpg"]), probe=True)
    assert watch.evidence.objectives and watch.report() == []


@pytest.mark.parametrize("batch", [None, ["a", "b"], {"text": "words"}, torch.zeros(0), torch.tensor(3), 7])
def test_a_batch_that_tells_nothing(batch: Any) -> None:
    assert train(Wrapped(), batch=batch).report() == []


@pytest.mark.parametrize("loss", [0.5, None, torch.tensor(0.5), torch.ones(4), 3])
def test_a_loss_of_any_kind(loss: Any) -> None:
    watch = train(Wrapped(), loss=loss)
    assert watch.report() == [] and len(watch.evidence.losses()) == (0 if loss is None else 15)


@pytest.mark.parametrize("loss", [float("nan"), torch.tensor(float("nan"))])
def test_a_loss_that_is_not_a_number_is_named(loss: Any) -> None:
    assert [one.slug for one in train(Wrapped(), loss=loss).report()] == ["non-finite-loss"]


def test_what_is_no_loss_is_a_finding_about_the_watch() -> None:
    found = train(Wrapped(), loss="low", val_loss="low", lr="low", terms={"box": "low"}).report()
    assert {one.where for one in found} == {"loss", "val_loss", "lr", "terms"}
    assert {one.id for one in found} == {"N-449"}
    assert {(one.what, one.remedy) for one in found} == {
        ("Watch.step was given 'low', which is no number", "give the tensor, or its value")
    }


def test_a_model_without_parameters_or_without_any_that_trains() -> None:
    class Add(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs + 1

    outside = torch.zeros(6, requires_grad=True)
    optimizer = torch.optim.SGD([outside], 0.1)
    for model in (Add(), nn.Linear(6, 3).requires_grad_(False)):
        watch = Watch(model, optimizer, source=False)
        for inputs, _ in batches():
            optimizer.zero_grad()
            loss = (model(inputs * outside) ** 2).mean()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=inputs)
        assert not [one for one in watch.report() if one.slug == "check-failed"]


def test_without_an_optimizer_losses_are_still_seen() -> None:
    model = Wrapped()
    watch = Watch(model, source=False)
    for inputs, targets in batches():
        loss = F.cross_entropy(model(inputs), targets)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= 0.05 * gradient
        watch.step(loss=loss, batch=(inputs, targets))
    assert watch.report() == [] and len(watch.evidence.losses()) == 15


def test_several_optimizers_cover_a_model_together() -> None:
    model = Wrapped()
    parts = [torch.optim.SGD(model.body.parameters(), 0.05), torch.optim.Adam(model.head.parameters(), 1e-3)]
    watch = Watch(model, parts, source=False)
    for inputs, targets in batches():
        loss = F.cross_entropy(model(inputs), targets)
        model.zero_grad()
        loss.backward()
        for one in parts:
            one.step()
        watch.step(loss=loss, batch=(inputs, targets))
    assert watch.report() == []
    assert all(len(one.rates) == 2 for one in watch.evidence.steps)


def per_sample(model: nn.Module) -> None:
    def loss(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        return torch.func.functional_call(model, weights, (one[None],)).square().mean()

    weights = {name: one.detach() for name, one in model.named_parameters()}
    torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, torch.randn(4, 6))


def scripted(model: nn.Module) -> None:
    with pytest.raises(AttributeError, match="close"):
        torch.jit.script(model)


def with_fake_tensors(model: nn.Module) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        outputs = model(torch.randn(4, 6))
    outputs.sum()


@pytest.mark.parametrize(
    "use",
    [
        per_sample,
        scripted,
        with_fake_tensors,
        lambda model: torch.func.vmap(model)(torch.randn(4, 6)),
        lambda model: torch.func.hessian(lambda one: model(one).sum())(torch.randn(6)),
        lambda model: torch.autograd.functional.jacobian(model, torch.randn(1, 6), vectorize=True),
        lambda model: torch.jit.trace(model, torch.randn(4, 6)),
        lambda model: torch.export.export(model, (torch.randn(4, 6),)),
        lambda model: torch.export.export(model, (torch.randn(4, 6),), strict=True),
        lambda model: make_fx(model)(torch.randn(4, 6)),
    ],
)
def test_what_has_no_numbers_is_not_looked_at(use: Callable[[nn.Module], Any]) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    watch = Watch(model, torch.optim.SGD(model.parameters(), 0.1), source=False)
    use(model)
    watch.step()
    assert watch.report() == []


@pytest.mark.parametrize("around", [FakeTensorMode, lambda: torch.device("meta")])
def test_a_training_without_numbers(around: Callable[[], Any]) -> None:
    with around():
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        watch = Watch(model, optimizer, source=False)
        for _ in range(2):
            loss = model(torch.randn(4, 6)).sum()
            loss.backward()
            optimizer.step()
            watch.step(loss=loss, batch=torch.randn(4, 6))
    assert watch.report() == []


def test_a_compiled_model() -> None:
    model = Wrapped()
    watch = train(torch.compile(model, backend="eager"))
    assert watch.report() == []
    assert "body.weight" in watch.parameters and watch.evidence.objectives


def test_a_model_wrapped_for_several_processes(tmp_path: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        model = nn.parallel.DistributedDataParallel(Wrapped())
        watch = train(model)
    finally:
        torch.distributed.destroy_process_group()
    assert watch.report() == []
    assert "body.weight" in watch.parameters and watch.evidence.objectives


class Spectral(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.filter = nn.Parameter(torch.ones(4, dtype=torch.complex64))
        self.head = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(torch.fft.irfft(torch.fft.rfft(inputs) * self.filter, n=6))


class Checkpointed(Wrapped):
    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(checkpoint(self.body, inputs, use_reentrant=False).relu())


class NowAndThen(Wrapped):
    """Its forward pass raises now and then; it is tried again."""

    calls = 0

    def forward(self, inputs: Tensor) -> Any:
        self.calls += 1
        hidden = self.body(inputs)
        if self.calls % 3 == 0:
            raise ValueError("not this one")
        return self.head(hidden.relu())

    def again(self, inputs: Tensor) -> Any:
        try:
            return self(inputs)
        except ValueError:
            return self(inputs)


def layers(*parts: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*parts)


def sparse_gradients() -> Watch:
    torch.manual_seed(0)
    model = nn.Sequential(nn.EmbeddingBag(10, 8, sparse=True), nn.Linear(8, 3))
    watch = train(model, call=lambda inputs: model((inputs * 2).long().clamp(0, 9)))
    assert watch.parameters["0.weight"].got_gradient
    return watch


def a_lazy_module() -> Watch:
    watch = train(layers(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(3)))
    assert "0.weight" in watch.parameters
    return watch


def beside_its_own(name: str, part: Any) -> Watch:
    """A part of a model that is neither called nor held by the optimizer."""
    model = Wrapped()
    parts = [*model.body.parameters(), *model.head.parameters()]
    setattr(model, name, part)
    return train(model, optimizer=torch.optim.SGD(parts, 0.05))


def in_precision(dtype: torch.dtype) -> Watch:
    model = Wrapped().to(dtype)
    return train(model, Tensor.float, call=lambda inputs: model(inputs.to(dtype)))


def under_inference_mode() -> Watch:
    model = Wrapped()

    @torch.inference_mode()
    def evaluate(_: int) -> None:
        model.eval()
        model(torch.ones(16, 6))
        model.train()

    watch = train(model, before=evaluate, steps=20)
    assert watch.evidence.evaluations.count == 20
    return watch


def parts_alone() -> Watch:
    model = Wrapped()
    return train(model, call=lambda inputs: model.head(F.relu(model.body(inputs))))


def a_model_that_raises() -> Watch:
    model = NowAndThen()
    return train(model, call=model.again)


ODD: dict[str, Callable[[], Watch]] = {
    "sparse gradients": sparse_gradients,
    "complex parameters": lambda: train(Spectral()),
    "in place": lambda: train(
        layers(nn.Linear(6, 16), nn.ReLU(inplace=True), nn.Linear(16, 3)), lambda scores: scores.mul_(2.0)
    ),
    "checkpointing": lambda: train(Checkpointed()),
    "inference mode": under_inference_mode,
    "on the meta device": lambda: beside_its_own(
        "unused", nn.Linear(4, 4, device="meta").requires_grad_(False)
    ),
    "a sparse parameter": lambda: beside_its_own("extra", nn.Parameter(torch.eye(3).to_sparse())),
    "lazy until it is called": a_lazy_module,
    "double": lambda: in_precision(torch.float64),
    "half": lambda: in_precision(torch.bfloat16),
    "parts are called and never the whole": parts_alone,
    "forward raises now and then": a_model_that_raises,
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_model_is_watched_and_nothing_is_found(name: str) -> None:
    assert ODD[name]().report() == []


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"model": "resnet"}, "what is to be watched is 'resnet'"),
        ({"model": torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2))}, "is scripted, and takes no hooks"),
        ({"optimizer": ["sgd"]}, "'sgd' is no optimizer"),
        ({"optimizer": torch.optim.SGD.__new__(torch.optim.SGD)}, "a SGD has not called Optimizer.__init__"),
        ({"frozen": 3}, "frozen is 3"),
        ({"frozen": ["body", "heed.bias"]}, "no parameter is called 'heed.bias'; did you mean 'head.bias'?"),
    ],
)
def test_what_cannot_be_watched_is_refused_by_name(given: dict[str, Any], what: str) -> None:
    with pytest.raises(ArgusError, match=re.escape(what)) as refused:
        Watch(**({"model": Wrapped(), "source": False} | given))
    assert refused.value.remedy and "Watch(" in str(refused.value.where)


def test_hooks_of_others_stay_and_all_of_ours_go() -> None:
    model, calls = Wrapped(), []
    model.register_forward_hook(lambda *_: calls.append("forward"))
    model.body.weight.register_hook(lambda _: calls.append("gradient"))
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    optimizer.register_step_post_hook(lambda *_: calls.append("step"))

    def hooks() -> list[int]:
        of_modules = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
        of_tensors = [len(p._backward_hooks or ()) for p in model.parameters()]
        return [
            *of_modules,
            *of_tensors,
            len(optimizer._optimizer_step_pre_hooks),
            len(optimizer._optimizer_step_post_hooks),
        ]

    before = hooks()
    with train(model, optimizer=optimizer) as watch:
        assert sum(hooks()) > sum(before)
    assert hooks() == before and watch.report() == []
    assert all(calls.count(one) >= 15 for one in ("forward", "gradient", "step"))


def test_a_watched_model_can_be_copied_and_pickled() -> None:
    model = Wrapped(torch.relu)
    names = list(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    watch = train(model, optimizer=optimizer)
    twin = copy.deepcopy(model)
    saved = pickle.dumps(model.body)
    assert b"argus" not in saved  # it can be read where the doctor is not installed
    again = pickle.loads(pickle.dumps(model))
    calls = len(watch.evidence.inputs)
    for one in (twin, again):
        assert list(one.state_dict()) == names == list(model.state_dict())
        assert torch.equal(one.head.weight, model.head.weight)
        one(torch.zeros(2, 6)).sum().backward()  # no part of the watch any more
    copy.deepcopy(optimizer)
    pickle.loads(pickle.dumps(optimizer.state_dict()))
    for inputs, targets in batches(2):
        watch.step(loss=F.cross_entropy(twin(inputs), targets))
    assert len(watch.evidence.inputs) == calls


@pytest.mark.parametrize("since", [0, 4])
@pytest.mark.parametrize("part", ["_see_gradients", "finish_step", "take_stock"])
def test_a_sensor_that_fails_is_a_finding_and_training_goes_on(
    part: str, since: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def broken(*_: Any) -> None:
        calls.append(part)
        raise RuntimeError("what a model")

    real = getattr(ParameterRecord, part)
    monkeypatch.setattr(
        ParameterRecord, part, lambda *a: broken() if a[0]._evidence.step >= since else real(*a)
    )
    watch = train(Wrapped())
    assert calls and watch.evidence.step == 15
    assert [one.id for one in watch.report()] == ["N-449"]


def test_a_model_that_cannot_be_called_again_is_not_probed_and_nothing_breaks() -> None:
    class Once(Wrapped):
        def forward(self, inputs: Tensor) -> Tensor:
            if not self.training:
                raise RuntimeError("not without its head")
            return super().forward(inputs)

    (found,) = train(Once(), probe=True).report()
    assert found.id == "N-449" and found.where == "probe" and "not without its head" in found.what


@pytest.mark.parametrize("kind", ["closure", "several-times", "wrapped", "wrapped under another name"])
def test_gradients_that_come_about_within_the_step(kind: str) -> None:
    class Wrapper(torch.optim.Optimizer):
        """As Accelerate and many a Lookahead have it: an optimizer by its class, with nothing of one."""

        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            setattr(self, "optimizer" if kind == "wrapped" else "base", optimizer)

    model = Wrapped()
    real: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), 0.05)
    if kind == "several-times":
        real = torch.optim.LBFGS(model.parameters(), 0.1, max_iter=3)
    watch = Watch(model, Wrapper(real) if "wrapped" in kind else real, source=False)
    for inputs, targets in batches():

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            real.zero_grad()
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        watch.step(loss=real.step(closure), batch=(inputs, targets))
    assert watch.report() == []
    assert all(one.got_gradient for one in watch.parameters.values())


def test_a_model_that_is_watched_twice() -> None:
    model = Wrapped()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    first, second = (Watch(model, optimizer, source=False) for _ in range(2))
    for inputs, targets in batches(30):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        for one in (first, second):
            one.step(loss=loss, batch=(inputs, targets))
    assert first.report() == second.report() == []


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_layer_without_units_is_no_trouble() -> None:
    model = Wrapped()
    model.none = nn.Linear(6, 0)
    assert train(model).evidence.failures == {}


def test_a_watched_training_goes_on_in_a_fork() -> None:
    model = Wrapped()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    train(model, optimizer=optimizer)
    child = os.fork()
    if child == 0:
        os._exit(0 if train(model, optimizer=optimizer).report() == [] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_parameters_that_are_frozen_while_they_are_watched() -> None:
    model = Wrapped()
    watch = train(
        model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        steps=45,
        before=lambda step: model.body.requires_grad_(not 12 < step < 32),  # looks go on in between
    )
    watch.report()
    assert watch.evidence.failures == {} and watch.evidence.stale_gradients[0] == 0
