from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy_task import GROUPS, ToyConfig, ToyModel, ToyTask, toy_config, train

from argusvl.core.errors import ConfigError
from argusvl.training.parameter_groups import (
    assign_parameters,
    describe_groups,
    freeze_untrained,
    optimizer_groups,
    verify_optimizer,
)
from argusvl.training.protocol import ParameterGroup
from argusvl.training.trainer import ArgusTrainer


def model() -> ToyModel:
    return ToyModel(ToyConfig())


def test_the_first_matching_group_wins_and_every_parameter_is_in_one() -> None:
    groups = assign_parameters(model(), GROUPS)
    assert list(groups[0].parameters) == ["head.weight", "head.bias"]
    rest = ["body.weight", "body.bias", "norm.weight", "norm.bias", "kinds.weight"]
    assert list(groups[1].parameters) == rest


ALL = ParameterGroup("all", ".", 0.1)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([ALL, ParameterGroup("ghost", "ghost", 0.1)], "'ghost'.*matches no parameter"),
        ([ALL, ParameterGroup("head", "head", 0.1)], "only parameters that all took"),
        ([ParameterGroup("head", "head", 0.1)], r"5 trainable parameters in no group: body\.weight"),
        ([ParameterGroup("a", "head", 0.1), ParameterGroup("a", ".", 0.1)], "two groups have one name"),
        ([ParameterGroup("all", "(", 0.1)], "no regular expression"),
        ([ParameterGroup("all", ".", -0.1)], "rate of group 'all' is -0.1"),
        ([ParameterGroup("all", ".", float("nan"))], "rate of group 'all' is nan"),
    ],
)
def test_groups_that_do_not_fit_the_model_are_errors(specs: list[ParameterGroup], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assign_parameters(model(), specs)


def test_an_optional_group_may_be_empty() -> None:
    groups = assign_parameters(model(), [*GROUPS, ParameterGroup("later", "later", 0.1, optional=True)])
    assert groups[2].parameters == {}


def test_a_parameter_that_the_model_froze_needs_no_group() -> None:
    net = model()
    net.kinds.requires_grad_(False)
    groups = assign_parameters(net, [ParameterGroup("rest", "head|body|norm", 0.1)])
    assert "kinds.weight" not in groups[0].parameters
    (_, none) = describe_groups(net, [ParameterGroup("rest", "head|body|norm", 0.1)])
    assert (none.group, none.parameters, none.trainable) == ("(none)", 24, 0)


def test_a_tied_parameter_in_two_groups_is_an_error() -> None:
    net = nn.ModuleDict({"first": nn.Linear(3, 3, bias=False), "second": nn.Linear(3, 3, bias=False)})
    net["second"].weight = net["first"].weight
    with pytest.raises(ConfigError, match=r"first\.weight in 'one'.*second\.weight in 'two'"):
        assign_parameters(net, [ParameterGroup("one", "first", 0.1), ParameterGroup("two", "second", 0.1)])
    (group,) = assign_parameters(net, [ParameterGroup("both", ".", 0.1)])
    assert len(group.parameters) == 1


def test_rate_zero_freezes_a_group(tmp_path: Path) -> None:
    groups = (ParameterGroup("head", "head", 0.0), ParameterGroup("body", ".", 0.01))
    trainer = ArgusTrainer(ToyTask(groups=groups), toy_config(tmp_path / "run", max_steps=3))
    frozen = trainer.run.network.head.weight.detach().clone()
    trainer.train()

    assert torch.equal(trainer.run.network.head.weight, frozen)
    assert not trainer.run.network.head.weight.requires_grad
    assert trainer.optimizer is not None
    held = {id(p) for entry in trainer.optimizer.param_groups for p in entry["params"]}
    assert id(trainer.run.network.head.weight) not in held
    assert id(trainer.run.network.body.weight) in held


def test_nothing_left_to_train_is_an_error() -> None:
    for specs in ([ParameterGroup("all", ".", 0.0)], [ParameterGroup("all", ".", 0.1, frozen_epochs=1.0)]):
        with pytest.raises(ConfigError, match="no parameter is left to train"):
            freeze_untrained(assign_parameters(model(), specs))


def decayed_names(net: nn.Module, specs: list[ParameterGroup]) -> set[str]:
    entries = optimizer_groups(net, assign_parameters(net, specs), weight_decay=0.1)
    decayed = {id(p) for e in entries if e["weight_decay"] for p in e["params"]}
    return {name for name, p in net.named_parameters() if id(p) in decayed}


def test_weight_decay_spares_vectors_norms_and_embeddings() -> None:
    assert decayed_names(model(), [ParameterGroup("all", ".", 0.1)]) == {"body.weight", "head.weight"}
    with_embeddings = [ParameterGroup("all", ".", 0.1, decay_embeddings=True)]
    assert decayed_names(model(), with_embeddings) == {"body.weight", "head.weight", "kinds.weight"}


def test_the_optimizer_is_checked_against_what_was_declared() -> None:
    net = model()
    groups = assign_parameters(net, GROUPS)

    def optimizer() -> torch.optim.Optimizer:
        return torch.optim.AdamW(optimizer_groups(net, groups, weight_decay=0.1))

    verify_optimizer(optimizer(), groups)

    wrong_rate = optimizer()
    wrong_rate.param_groups[0]["lr"] = 0.5
    with pytest.raises(ConfigError, match=r"head\.weight with rates \[0\.5\].*'head' declares \[0\.02\]"):
        verify_optimizer(wrong_rate, groups)

    lost = optimizer()
    lost.param_groups[0]["params"].clear()
    with pytest.raises(ConfigError, match=r"head\.weight with rates \[\]"):
        verify_optimizer(lost, groups)

    stranger = optimizer()
    stranger.param_groups[0]["params"].append(nn.Parameter(torch.zeros(1)))
    with pytest.raises(ConfigError, match="1 parameter of no group"):
        verify_optimizer(stranger, groups)


def test_an_optimizer_that_ignores_groups_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Flattening(torch.optim.SGD):
        """Keeps one rate for all, as wrappers have been seen to do."""

        def __init__(self, params: Any, **kwargs: Any) -> None:
            super().__init__([p for entry in params for p in entry["params"]], lr=kwargs["lr"])
            self.param_groups[0]["group"] = "head"

    monkeypatch.setattr(
        ArgusTrainer,
        "get_optimizer_cls_and_kwargs",
        lambda self, args, model: (Flattening, {"lr": args.learning_rate}),
    )
    with pytest.raises(ConfigError, match=r"body\.weight with rates \[0\.02\]"):
        ArgusTrainer(ToyTask(), toy_config(tmp_path / "run")).train()


def test_description_of_groups() -> None:
    net = model()
    rows = describe_groups(net, [ParameterGroup("head", "head", 0.0), ParameterGroup("body", ".", 0.01)])
    head, body = rows
    assert (head.group, head.tensors, head.parameters, head.trainable) == ("head", 2, 9, 0)
    assert (body.parameters, body.trainable, body.learning_rate) == (80, 80, 0.01)
    assert body.examples == ("body.weight", "body.bias", "norm.weight")
    assert body.tensors == 5
    assert net.head.weight.requires_grad, "describing must not freeze"


def test_resuming_with_another_rate_uses_the_configured_one(tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_steps": 8, "save_steps": 4, "eval_steps": 100}
    options |= {"lr_scheduler_type": "constant", "warmup_ratio": 0.0}
    train(ToyTask(), tmp_path / "run", **options)
    (tmp_path / "run" / "checkpoint-8").rename(tmp_path / "run" / "gone")
    lower = (ParameterGroup("head", "head", 0.002), ParameterGroup("body", ".", 0.01))
    entries = train(ToyTask(groups=lower), tmp_path / "run", resume=True, **options)
    assert [e["lr/head"] for e in entries] == pytest.approx([0.02] * 4 + [0.002] * 4)
    assert [e["lr/body"] for e in entries] == pytest.approx([0.01] * 8)
