"""Published methods whose losses, or loops, have the look of a fault: at most hints, and where they learn nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from watched_loops import mlp, points, proven, said, trained

from argus_doctor import Watch
from argus_doctor.checks import learning
from argus_doctor.evidence import Evidence, Parameter, Step
from argus_doctor.findings import Finding

Loop = Callable[[], list[Finding]]
SILENT: dict[str, Loop] = {}


def silent(loop: Loop) -> Loop:
    SILENT[loop.__name__] = loop
    return loop


def by_adam(model: nn.Module, lr: float = 3e-3) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr)


class Adversaries(nn.Module):
    """A generator and the judge that the module's call is, or features with two heads."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.generator, self.judge = nn.Linear(8, 2), mlp(outputs=1)
        self.judge[0] = nn.Linear(2, 32)

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.judge(inputs)
        return scores


@silent
def a_generator_that_climbs_the_loss_of_its_judge() -> list[Finding]:
    model = Adversaries()
    makes, judges = by_adam(model.generator), by_adam(model.judge)
    watch = Watch(model, [makes, judges], source=False)
    true, false = torch.ones(32, 1), torch.zeros(32, 1)
    for _ in range(60):
        real, made = torch.randn(32, 2) + 1, model.generator(torch.randn(32, 8))
        scores = model(torch.cat([real, made.detach()]))
        loss = F.binary_cross_entropy_with_logits(scores, torch.cat([true, false]))
        judges.zero_grad()
        loss.backward()
        judges.step()
        climbed = -F.binary_cross_entropy_with_logits(model(made), false)
        makes.zero_grad()
        climbed.backward()
        makes.step()
        watch.step(loss=loss, batch=(real, false))
    return watch.report()


class Domains(nn.Module):
    """Features with a head for the classes and one for the domains."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features, self.classes, self.domains = nn.Linear(8, 32), nn.Linear(32, 4), nn.Linear(32, 2)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(inputs).relu()
        return self.classes(features), self.domains(features)


@silent
def features_that_climb_the_loss_of_the_domains_in_turn() -> list[Finding]:
    model = Domains()
    learns = torch.optim.Adam([*model.features.parameters(), *model.classes.parameters()], 1e-3)
    tells = by_adam(model.domains, 1e-3)
    watch = Watch(model, [learns, tells], source=False)
    for inputs, labels in islice(points(), 60):
        domains = torch.randint(2, (len(inputs),))
        tells.zero_grad()
        F.cross_entropy(model(inputs)[1], domains).backward()
        tells.step()
        scores, of_domains = model(inputs)
        loss = F.cross_entropy(scores, labels) - 0.1 * F.cross_entropy(of_domains, domains)
        learns.zero_grad()
        loss.backward()
        learns.step()
        watch.step(loss=loss, batch=(inputs, labels, domains))
    return watch.report()


@silent
def a_policy_whose_every_step_costs() -> list[Finding]:
    def loss_of(scores: Tensor, taken: tuple[Tensor, Tensor]) -> Tensor:
        return -(taken[1] * torch.distributions.Categorical(logits=scores).log_prob(taken[0])).mean()

    model = mlp()

    def acted() -> Iterator[tuple[Tensor, tuple[Tensor, Tensor]]]:
        costs = -(1 - 0.9 ** torch.arange(32, 0, -1)) / 0.1
        for inputs, _ in points():
            states = inputs[:, :1] + 0.01 * inputs
            with torch.no_grad():
                actions = [
                    torch.distributions.Categorical(logits=model(one[None])).sample() for one in states
                ]
            yield states, (torch.cat(actions), costs)

    return trained(model, acted(), loss_of, lr=1e-3)


def mean_of_the_misses(scores: Tensor, labels: Tensor) -> Tensor:
    """Ghosh et al. 2017."""
    return 2 * (1 - scores.softmax(1).gather(1, labels[:, None])).mean()


@silent
def probabilities_as_a_loss() -> list[Finding]:
    return trained(mlp(), points(), mean_of_the_misses, lr=0.2, steps=150)


class Prototypes(nn.Module):
    """Cosines to fixed directions, one for each class."""

    def __init__(self) -> None:
        super().__init__()
        self.body = mlp(outputs=16)
        self.register_buffer("directions", F.normalize(torch.randn(16, 4), dim=0))

    def forward(self, inputs: Tensor) -> Tensor:
        cosines: Tensor = F.normalize(self.body(inputs), dim=1) @ self.directions
        return cosines


@silent
def angles_to_prototypes() -> list[Finding]:
    return trained(Prototypes(), points(), lambda o, t: (1 - o.gather(1, t[:, None])).mean())


@silent
def a_bag_of_items_by_one_softmax() -> list[Finding]:
    """Liang et al. 2018."""
    torch.manual_seed(0)
    chances = torch.rand(4, 40).pow(4)
    model = nn.Sequential(nn.Linear(40, 32), nn.Tanh(), nn.Dropout(0.2), nn.Linear(32, 40))
    bags = ((torch.rand(64, 40) < chances[torch.randint(4, (64,))]).float() for _ in range(60))
    loss_of = lambda o, t: -(F.log_softmax(o, 1) * t).sum(1).mean()  # noqa: E731
    return trained(model, ((bag, bag, bag) for bag in bags), loss_of, optimizer=by_adam(model))


class Sequences(nn.Module):
    """Scores for each place of a sequence, read from one end or from both."""

    def __init__(self, *, both: bool, words: int = 30) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.word = nn.Embedding(words, 32)
        self.body = nn.GRU(32, 32, batch_first=True, bidirectional=both)
        self.head = nn.Linear(64 if both else 32, words)

    def forward(self, ids: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(self.word(ids))[0])
        return scores


def of_words(scores: Tensor, words: Tensor) -> Tensor:
    return F.cross_entropy(scores.transpose(1, 2), words)


@silent
def text_that_is_given_back() -> list[Finding]:
    model = Sequences(both=True)
    texts = (torch.randint(30, (32, 12)) for _ in range(40))
    return trained(model, ((text, text, text) for text in texts), of_words, optimizer=by_adam(model))


@silent
def sentences_that_come_again_by_nature() -> list[Finding]:
    model, following = Sequences(both=False), torch.randperm(30)

    def drawn(count: int) -> Tensor:
        text = torch.randint(30, (count, 1))
        for _ in range(8):
            other = torch.where(
                torch.rand(count, 1) < 0.1, torch.randint(30, (count, 1)), following[text[:, -1:]]
            )
            text = torch.cat([text, other], 1)
        return text

    def validate(step: int, _: Tensor) -> Tensor | None:
        if step % 20:
            return None
        model.eval()
        with torch.no_grad():
            text = drawn(64)
            loss = of_words(model(text[:, :-1]), text[:, 1:])
        model.train()
        return loss

    texts = (drawn(16) for _ in range(100))
    batches = ((text[:, :-1], text[:, 1:], text) for text in texts)
    return trained(model, batches, of_words, optimizer=by_adam(model), steps=100, after=validate)


class Factors(nn.Module):
    """Products of two tables, whose first scores are far too large."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.of_users, self.of_items = nn.Embedding(100, 8), nn.Embedding(80, 8)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        return (self.of_users(users) * self.of_items(items)).sum(1)


@silent
def scores_that_are_too_large_at_first() -> list[Finding]:
    model = Factors()
    taste, kind = torch.randn(100, 3), torch.randn(80, 3)
    pairs = ((torch.randint(100, (128,)), torch.randint(80, (128,))) for _ in range(160))
    batches = (((u, i), ((taste[u] * kind[i]).sum(1) > 0).float()) for u, i in pairs)
    loss_of = F.binary_cross_entropy_with_logits
    return trained(model, batches, loss_of, optimizer=by_adam(model), steps=None)


@silent
def a_judge_that_can_tell_nothing_any_more() -> list[Finding]:
    torch.manual_seed(0)
    maker, judge = nn.Linear(4, 2), mlp(outputs=1)
    judge[0] = nn.Linear(2, 32)
    makes, judges = by_adam(maker, 1e-4), by_adam(judge)
    watch = Watch(judge, judges, source=False)
    labels = torch.cat([torch.ones(64, 1), torch.zeros(64, 1)])
    with torch.no_grad():  # as it is at the end: what is made is spread as what is real
        maker.weight.copy_(torch.eye(2, 4))
        maker.bias.zero_()
    for _ in range(160):
        pictures = torch.cat([torch.randn(64, 2), maker(torch.randn(64, 4)).detach()])
        loss = F.binary_cross_entropy_with_logits(judge(pictures), labels)
        judges.zero_grad()
        loss.backward()
        judges.step()
        watch.step(loss=loss, batch=(pictures, labels))
        makes.zero_grad()
        F.binary_cross_entropy_with_logits(judge(maker(torch.randn(64, 4))), labels[:64]).backward()
        makes.step()
    return watch.report()


@silent
def statistics_taken_anew_before_each_checkpoint() -> list[Finding]:
    model, steps = mlp(nn.BatchNorm1d(32)), 80

    def passes(step: int, _: Tensor) -> None:
        if step % 20 == 0:
            with torch.no_grad():
                model(next(points(64, seed=step))[0])
        if step == steps:
            model.eval()
            with torch.no_grad():
                model(next(points(64, seed=step))[0])

    return trained(model, points(), steps=steps, after=passes)


class Distilled(nn.Module):
    """A random network, and another that foretells it."""

    def __init__(self) -> None:
        super().__init__()
        self.target, self.predictor = mlp(), mlp()
        self.target.requires_grad_(False)
        nn.init.normal_(self.predictor[2].weight, std=0.1)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.predictor(inputs), self.target(inputs)


@silent
def a_random_network_that_is_distilled() -> list[Finding]:
    model = Distilled()
    batches = ((inputs, inputs, inputs) for inputs, _ in points())
    return trained(model, batches, lambda o, _: F.mse_loss(*o), optimizer=by_adam(model))


@pytest.mark.parametrize("name", SILENT)
def test_nothing_is_found(name: str) -> None:
    assert SILENT[name]() == []


def test_preferences_are_no_progress_on_the_answers_that_lost() -> None:
    """Rafailov et al. 2023."""
    model = mlp()
    before = copy.deepcopy(model).requires_grad_(False)

    def loss_of(scores: Tensor, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        inputs, won, lost = batch
        gain = scores.log_softmax(1) - before(inputs).log_softmax(1)
        return -F.logsigmoid(0.5 * (gain.gather(1, won[:, None]) - gain.gather(1, lost[:, None]))).mean()

    pairs = ((inputs, labels, torch.randint(4, (32,))) for inputs, labels in points())
    found = trained(model, ((p[0], p, p) for p in pairs), loss_of, optimizer=by_adam(model), steps=160)
    assert "labels-unrelated" not in said(found)


def test_the_numbers_of_the_classes_may_be_ratings_that_an_ensemble_gives() -> None:
    found = trained(mlp(outputs=4), points(), lambda o, t: ((o - t[:, None]) ** 2).mean(), lr=0.01)
    assert said(found) == {"wrong-loss": "hint"}


def test_points_of_a_plane_that_are_fitted_and_measured() -> None:
    model = mlp(outputs=1)
    model[0] = nn.Linear(2, 32)
    grid = torch.cartesian_prod(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16))
    wanted = (3 * grid).sin().sum(1, keepdim=True)

    def measure(step: int, _: Tensor) -> Tensor | None:
        with torch.no_grad():
            return None if step % 20 else F.mse_loss(model(grid[::4]), wanted[::4])

    drawn = (torch.randperm(256)[:64] for _ in range(100))
    batches = ((grid[rows], wanted[rows]) for rows in drawn)
    found = trained(model, batches, F.mse_loss, optimizer=by_adam(model), steps=100, after=measure)
    assert not proven(found)


def test_samples_that_are_chosen_by_dropout_are_less_surely_an_evaluation() -> None:
    model = mlp(nn.Dropout(0.3))

    def choose(step: int, _: Tensor) -> None:
        with torch.no_grad():
            _ = step % 20 or model(next(points(64, seed=step))[0])

    (found,) = trained(model, points(), steps=100, after=choose)
    assert found.slug == "evaluation-in-training-mode" and (found.probability or 1) <= 0.6


def test_units_behind_which_nothing_is_asked_are_not_dead() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"maker": nn.Linear(8, 8), "judge": mlp(outputs=1)})
    optimizers = [by_adam(part) for part in model.values()]
    watch = Watch(model, optimizers, source=False)
    for inputs, _ in islice(points(), 60):
        made = model["maker"](inputs)
        loss = F.l1_loss(made, inputs) + 0.0 * model["judge"](made.detach()).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        watch.step(loss=loss, batch=inputs)
    assert "dead-units" not in said(watch.report())


@pytest.mark.parametrize(("small", "lost"), [(1e-7, True), (1e-2, False)])
def test_a_query_of_a_fresh_attention_gets_next_to_nothing(small: float, lost: bool) -> None:
    evidence = Evidence()
    for number in range(1, 60):
        evidence.steps.append(Step(number, loss=1.1))
    for layer, size in (("query", 1e-7), ("value", small), ("out", 1e-2), ("head", 1e-2)):
        name = f"{layer}.weight"
        known = {"requires_grad": True, "in_optimizer": True, "start": "default", "looks": 20, "updates": 20}
        evidence.parameters[name] = Parameter(
            name, layer, "Linear", (8, 8), **known, early_gradient=size, first_weight=0.1
        )
    assert bool(list(learning.depth(evidence))) == lost
