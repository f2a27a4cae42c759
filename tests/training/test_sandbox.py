from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from toy_task import ToyConfig, ToyModel, ToyTask, losses, train

from argusvl.training.sandbox import evaluation_sandbox


def test_evaluations_and_checkpoints_in_between_change_no_loss(tmp_path: Path) -> None:
    # The toy's evaluation reseeds all generators, leaves the model in train mode, and changes a buffer and attributes.
    without = train(ToyTask(eval_length=None), tmp_path / "without", save_steps=100)
    often = train(ToyTask(), tmp_path / "often", eval_steps=1, save_steps=2)
    assert losses(often) == losses(without)


def test_what_an_evaluation_touches_is_put_back() -> None:
    model = ToyModel(ToyConfig(dropout=0.5))
    model.train()
    model.norm.eval()
    model.cache = torch.ones(2)
    cache, seen, weight = model.cache, model.seen, model.body.weight.detach().clone()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = (random.random(), float(np.random.rand()), float(torch.rand(())))
    random.seed(1), np.random.seed(1), torch.manual_seed(1)

    with evaluation_sandbox(model):
        assert not model.training and not torch.is_grad_enabled()
        model.train()
        model.cache = None
        model.extra = 5
        model.seen += 3
        random.random(), np.random.rand(), torch.rand(7)

    assert (random.random(), float(np.random.rand()), float(torch.rand(()))) == expected
    assert model.training and not model.norm.training and model.head.training
    assert model.cache is cache and model.seen is seen and float(seen) == 0.0
    assert not hasattr(model, "extra")
    assert torch.equal(model.body.weight, weight) and torch.is_grad_enabled()
