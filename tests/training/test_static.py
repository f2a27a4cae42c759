"""Rules of the engine's source that no run could show."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from accelerate.state import GradientState
from toy_task import ToyTask, toy_config
from transformers import Trainer, TrainingArguments

import argusvl.training
from argusvl.training.trainer import ArgusTrainer

SOURCES = sorted(Path(argusvl.training.__file__).parent.rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def calls(path: Path) -> set[str]:
    return {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
    }


def test_the_loop_neither_synchronizes_nor_waits_at_a_barrier() -> None:
    """M-002: a deadlock on several GPUs."""
    assert len(SOURCES) > 10
    for path in SOURCES:
        assert not calls(path) & {"synchronize", "barrier", "wait_for_everyone"}, path.name


def test_the_engine_knows_no_task() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert "argusvl.detection" not in text.replace("detection/task.py", ""), path.name
        for term in ("bbox", "giou", "objectness", "caption"):
            assert f'"{term}' not in text, path.name


PRIVATE = {
    Trainer: {"_run_epoch", "_get_dataloader", "_train_batch_size"}
    | {"_load_from_checkpoint", "_load_optimizer_and_scheduler"},
    TrainingArguments: {"_n_gpu"},
    GradientState: {"_set_sync_gradients"},
}
"""Every name of transformers and Accelerate with an underscore that the engine relies on."""
PASSED = {"model", "epoch", "train_dataloader", "num_update_steps_per_epoch", "steps_in_epoch"}
"""Arguments of Trainer._run_epoch that the engine's own takes."""


def test_the_private_names_that_the_engine_relies_on_are_there(tmp_path: Path) -> None:
    """With each version of transformers that is supported; a version that renames one fails here, not in a run."""
    trainer = ArgusTrainer(ToyTask(), toy_config(tmp_path))
    objects = {
        Trainer: trainer,
        TrainingArguments: trainer.args,
        GradientState: trainer.accelerator.gradient_state,
    }
    for kind, names in PRIVATE.items():
        for name in names:
            assert hasattr(objects[kind], name), f"{kind.__name__}.{name}"
    taken = set(inspect.signature(Trainer._run_epoch).parameters)
    assert taken >= PASSED
    # Trainer calls it by keywords; nothing else of its own loop over steps is used.
    walked = [(path.name, node) for path in SOURCES for node in ast.walk(parsed(path))]
    functions = {(file, node.name) for file, node in walked if isinstance(node, ast.FunctionDef)}
    attributes = [node for _, node in walked if isinstance(node, ast.Attribute)]
    ours = {name for _, name in functions} | {n.attr for n in attributes if isinstance(n.ctx, ast.Store)}
    used = {n.attr for n in attributes} | {name for file, name in functions if file == "trainer.py"}
    foreign = {name for name in used - ours if any(hasattr(one, name) for one in objects.values())}
    relied_on = foreign | (used & set(vars(Trainer)))
    private = {name for name in relied_on if name.startswith("_") and not name.startswith("__")}
    assert private <= set().union(*PRIVATE.values()), private - set().union(*PRIVATE.values())
