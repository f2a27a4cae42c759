"""The smallest task that meets the engine's protocol: unequal counts, global randomness, dropout, an embedding."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from argus_doctor.findings import Finding, finding
from argusvl.config.schema import DataSection, InfrastructureSection, RunConfig, TrainingSection
from argusvl.core.batch import Batch, BatchSizes
from argusvl.core.figures import FigureSpec
from argusvl.run.events import read_events
from argusvl.training.parallel import Parallel
from argusvl.training.protocol import LossTerm, ParameterGroup
from argusvl.training.run import run_training


class ToyConfig(PretrainedConfig):
    model_type = "argus_toy"

    def __init__(self, width: int = 8, dropout: float = 0.0, **kwargs: Any) -> None:
        self.width = width
        self.dropout = dropout
        super().__init__(**kwargs)


@dataclass
class ToyOutput(ModelOutput):
    loss_terms: dict[str, Tensor] | None = None
    predictions: Tensor | None = None


class ToyModel(PreTrainedModel):
    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.body = nn.Linear(4, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.kinds = nn.Embedding(3, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, 1)
        self.register_buffer("seen", torch.zeros(()))
        self.cache: Tensor | None = None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.kinds

    def forward(self, x: Tensor, kind: Tensor, y: Tensor, attention_mask: Tensor) -> ToyOutput:
        hidden = self.norm(self.dropout(torch.tanh(self.body(x)) + self.kinds(kind)))
        predictions = self.head(hidden)[:, 0]  # [R]
        self.cache = predictions.detach()
        error = predictions - y
        return ToyOutput(
            loss_terms={
                "fit": error.square().sum(),
                "rare": error[kind == 2].abs().sum(),
                "size": predictions.square().sum(),
            },
            predictions=predictions,
        )


class ToyData(Dataset[dict[str, Tensor]]):
    """Samples of 1 to 4 rows; what they hold depends on index, epoch and the global generators."""

    def __init__(self, length: int, noise: float = 0.1, broken: int | None = None) -> None:
        self.length = length
        self.noise = noise
        self.broken = broken
        self.epoch = -1
        self.asked: list[tuple[int, int]] = []

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def sample_name(self, index: int) -> str:
        return f"toy-{index}"

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        self.asked.append((self.epoch, index))
        fixed = torch.Generator().manual_seed(index)
        rows = 1 + index % 4
        x = torch.randn(rows, 4, generator=fixed) + 0.01 * self.epoch
        noise = random.random() + float(np.random.rand()) + float(torch.rand(()))
        kind = torch.full((rows,), 2 if index % 5 == 0 else index % 2)
        y = x.sum(-1) + self.noise * noise
        if index == self.broken:
            y = y * float("nan")
        return {"x": x, "y": y, "kind": kind}


class SizedData(ToyData):
    """Says which batch is the largest: of samples with four rows each."""

    def largest_batch(self, samples: int, ranks: int) -> list[int]:
        return [3, 7, 11, 15][:samples]


class PlannedData(ToyData):
    """Batches of 1 to 7 samples, other ones in every epoch, in as many batches."""

    def num_batches(self, ranks: int) -> int:
        return 6

    def batches(self, epoch: int, ranks: int) -> list[list[int]]:
        order = np.random.default_rng(epoch).permutation(self.length)
        return [part.tolist() for part in np.split(order, [1, 8, 10, 13, 15])]


def toy_config(output_dir: Path, **changes: Any) -> RunConfig:
    training: dict[str, Any] = {"output_dir": Path(output_dir), "run_name": "toy", "seed": 3, "bf16": False}
    training |= {"num_train_epochs": 2.0, "max_steps": -1, "gradient_accumulation_steps": 1}
    training |= {"per_device_train_batch_size": 4, "per_device_eval_batch_size": 4}
    training |= {"weight_decay": 0.01, "adam_beta2": 0.99, "max_grad_norm": 1.0, "ema_decay": None}
    training |= {"lr_scheduler_type": "cosine", "warmup_ratio": 0.1, "gradient_checkpointing": False}
    training |= {"eval_steps": 5, "save_steps": 5, "save_total_limit": 3, "logging_steps": 1}
    training |= {"metric_for_best_model": "score"}
    infrastructure: dict[str, Any] = {"device": "cpu", "report_to": [], "log_level": "info"}
    infrastructure |= {"dataloader_num_workers": 0}
    passed = changes.pop("trainer_arguments", {})
    for key, value in changes.items():
        (training if key in TrainingSection.model_fields else infrastructure)[key] = value
    return RunConfig(
        task="toy",
        data=DataSection(train=Path("none.jsonl"), max_examples=None),
        training=TrainingSection(**training),
        infrastructure=InfrastructureSection(**infrastructure),
        trainer_arguments=passed,
    )


GROUPS = (ParameterGroup("head", r"^head\.", 0.02), ParameterGroup("body", r".", 0.01))


@dataclass
class ToyTask:
    length: int = 22
    eval_length: int | None = 6
    groups: Sequence[ParameterGroup] = GROUPS
    weights: dict[str, float] = field(default_factory=lambda: {"fit": 1.0, "rare": 0.5, "size": 0.01})
    dropout: float = 0.1
    noise: float = 0.1
    broken: int | None = None
    findings: Sequence[Finding] = ()
    scores: list[float] | None = None
    data: type[ToyData] = ToyData
    network: Callable[[ToyConfig], ToyModel] = ToyModel

    def check(self) -> Sequence[Finding]:
        return self.findings

    def model(self) -> ToyModel:
        return self.network(ToyConfig(dropout=self.dropout))

    def train_dataset(self) -> ToyData:
        return self.data(self.length, self.noise, self.broken)

    def eval_dataset(self) -> ToyData | None:
        return None if self.eval_length is None else ToyData(self.eval_length)

    def collate(self, samples: Sequence[dict[str, Tensor]]) -> Batch:
        rows = [len(s["x"]) for s in samples]
        inputs: dict[str, Any] = {key: torch.cat([s[key] for s in samples]) for key in ("x", "y", "kind")}
        inputs["x"] = inputs["x"] + 0.01 * self.noise * torch.rand(())  # a collator may draw, too
        inputs["attention_mask"] = (torch.arange(max(rows))[None] < torch.tensor(rows)[:, None]).long()
        counts = {"rows": sum(rows), "samples": len(samples), "rare_rows": int((inputs["kind"] == 2).sum())}
        sizes = BatchSizes(tokens=inputs["attention_mask"].numel(), real_tokens=sum(rows))
        return Batch(inputs, counts, sizes)

    def loss_terms(self) -> Sequence[LossTerm]:
        return (
            LossTerm("fit", "rows", self.weights["fit"], ("fit_loss", "all_loss")),
            LossTerm("rare", "rare_rows", self.weights["rare"], ("rare_loss", "all_loss")),
            LossTerm("size", "samples", self.weights["size"], None),
        )

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        return self.groups

    def evaluate(self, model: PreTrainedModel, dataset: Dataset[Any], parallel: Parallel) -> dict[str, float]:
        # Everything that an evaluation may disturb: generators, modes, buffers, cached attributes.
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        model.train()
        assert isinstance(model, ToyModel)
        model.seen += 1
        model.left_behind = 1  # type: ignore[assignment]
        batch = self.collate([dataset[i] for i in range(len(dataset))])  # type: ignore[arg-type]
        error = model(**batch.inputs).loss_terms["fit"].item()
        return {"score": -error if self.scores is None else self.scores.pop(0), "error": error}

    def figures(self) -> dict[str, FigureSpec]:
        return {
            "score": FigureSpec("minus the error", "higher"),
            "error": FigureSpec("sum of squares", "lower"),
        }

    def save_assets(self, folder: Path) -> None:
        (folder / "toy.json").write_text("{}", encoding="utf-8")


def train(task: ToyTask, output_dir: Path, resume: bool = False, **changes: Any) -> list[dict[str, float]]:
    """A run's log entries of training steps, those before a resumption included."""
    options = {
        name: changes.pop(name) for name in ("allow_changes", "policies", "listeners") if name in changes
    }
    run_training(task, toy_config(output_dir, **changes), resume, **options)
    return logged(output_dir)


def logged(output_dir: Path) -> list[dict[str, float]]:
    """Log entries of training steps."""
    return [entry for entry in history(output_dir) if "loss" in entry]


def history(output_dir: Path) -> list[dict[str, float]]:
    """All log entries."""
    state = json.loads((output_dir / "trainer_state.json").read_text(encoding="utf-8"))
    return list(state["log_history"])


def losses(entries: Sequence[dict[str, float]]) -> dict[int, tuple[float, float, float]]:
    """What must be equal, exactly, in runs that claim to be the same."""
    return {int(e["step"]): (e["loss"], e["fit_loss"], e["grad_norm"]) for e in entries}


def from_config(config: RunConfig) -> ToyTask:
    """As the command line builds a task; the run's name chooses a variant."""
    odd = finding("malformed-record", "toy.jsonl:1", "odd"), finding("no-labels", "toy.jsonl:2", "even")
    findings = odd if config.training.run_name == "odd" else ()
    return ToyTask(findings=findings, broken=9 if config.training.run_name == "broken" else None)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    """What a run has written of one kind of event."""
    return [event for event in read_events(folder) if event["event"] == kind]


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def train_slowly(folder: Path, **options: Any) -> None:
    """A run that takes long enough to be met at work; it says when it has begun."""
    task = ToyTask()
    collate = task.collate

    def slowly(samples: Any) -> Batch:
        (folder / "started").touch()
        time.sleep(0.1)
        return collate(samples)

    task.collate = slowly  # type: ignore[method-assign]
    train(task, folder, **options)


@contextlib.contextmanager
def another_process(
    target: Callable[..., None], *args: Any, **options: Any
) -> Iterator[multiprocessing.Process]:
    """A process that computes something and is killed at the end of the body."""
    # Autograd's threads survive no fork where a GPU is present; a new process must import everything again.
    processes: Any = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    child = processes.Process(target=target, args=args, kwargs=options)
    child.start()
    try:
        yield child
    finally:
        child.kill()
        child.join()


def wait_until(child: multiprocessing.Process, done: Callable[[], object]) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + 150
    while not done():
        assert child.is_alive() and time.monotonic() < deadline
        time.sleep(0.02)
