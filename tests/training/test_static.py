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


def calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree)
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
    used = set()
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr.startswith("_")
                and not node.attr.startswith("__")
            ):
                used.add(node.attr)
            if (
                isinstance(node, ast.FunctionDef)
                and path.name == "trainer.py"
                and hasattr(Trainer, node.name)
            ):
                used.add(node.name)
    ours = {name for path in SOURCES for name in _defined(path)}
    foreign = {name for name in used - ours if any(hasattr(o, name) for o in objects.values())}
    private = {
        name for name in foreign | (used & set(vars(Trainer))) if name.startswith("_") and name != "__init__"
    }
    assert private <= set().union(*PRIVATE.values()), private - set().union(*PRIVATE.values())


def _defined(path: Path) -> set[str]:
    """Names with an underscore that a file of ours gives to its own objects."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    own |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    return own
