"""The models of a server: what each is called, what it answers, and the queue before it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from argusvl.core.errors import ConfigError
from argusvl.serving.batching import Batcher
from argusvl.task_parts import Endpoint, Service


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A checkpoint or store that was loaded: what requests call it, what tells it from every other, what it answers."""

    name: str
    fingerprint: str
    service: Service


@dataclass(frozen=True, slots=True)
class HostedModel:
    """A loaded model with its queue."""

    loaded: LoadedModel
    batcher: Batcher


def answering(models: Sequence[HostedModel], path: str) -> dict[str, tuple[HostedModel, Endpoint]]:
    """The models that answer at a path, by their names; the first is asked where none is named."""
    return {
        one.loaded.name: (one, endpoint)
        for one in models
        for endpoint in one.loaded.service.endpoints
        if endpoint.path == path
    }


def load_model(checkpoint: Path, *, device: str) -> LoadedModel:
    """Loads a checkpoint as its task says: a folder, a run, or the name of what ships.

    Raises:
        ArgusError: There is no such checkpoint, or its task answers nothing.
    """
    from argusvl.run.checkpoints import content_fingerprint
    from argusvl.tasks import DEFAULT_TASK, find_checkpoint, task_at, task_part

    folder = find_checkpoint(checkpoint)
    load = task_part(task_at(checkpoint) or DEFAULT_TASK, "service")
    service = load(folder, device=device)
    return LoadedModel(_name(checkpoint, folder), content_fingerprint(folder), service)


def load_store(store: Path, *, backbone: str | None, device: str) -> LoadedModel:
    """Loads a support store of ``argus recognize enroll``.

    Raises:
        ArgusError: It is none, or its backbone cannot be loaded.
    """
    from argusvl.recognition.service import load_service, store_fingerprint

    service = load_service(store, backbone=backbone, device=device)
    return LoadedModel(store.resolve().name, store_fingerprint(store), service)


def require_different_names(models: Sequence[LoadedModel]) -> None:
    """Requests call models by their names.

    Raises:
        ConfigError: Two have the same.
    """
    names = [one.name for one in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"two models are called {twice[0]}",
            remedy="give each checkpoint once, and rename a folder where two have the same name",
        )


def _name(given: Path, folder: Path) -> str:
    """The run's name for its checkpoints, which are called the same in every run."""
    if not given.exists():
        return given.name  # what ships
    if re.fullmatch(r"(checkpoint|best)-\d+", folder.name):
        return f"{folder.parent.name}/{folder.name}"
    return folder.name
