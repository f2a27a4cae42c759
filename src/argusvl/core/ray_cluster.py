"""Items through actors of a Ray cluster, in order: for one machine, or many that see files under the same path."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from argusvl.core.errors import ArgusError, ConfigError
from argusvl.core.extras import import_extra
from argusvl.core.wording import first_line

_ITEMS_OF_A_TASK = 4
"""A task costs Ray some milliseconds, comes back as a whole, and is done again where its machine fails."""


def import_ray() -> Any:
    """Ray with Ray Data.

    Raises:
        ArgusError: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unasked
    return import_extra("ray", "data")


def map_items(
    ray: Any,
    make: Callable[[], Callable[[Any], Any]],
    items: Sequence[Any],
    *,
    threads: int,
    on_gpu: bool,
    actors: int | None,
    remedy: str,
) -> Generator[Any, None, None]:
    """What ``make()(item)`` gives of each item, in their order; a cluster that this starts is ended with the generator.

    Items go to the actors and their answers come back as bytes: Arrow, in which Ray Data keeps rows, would take only
    names that are UTF-8. So do our errors: of one that is raised, Ray hands over only the text, after trying again.

    Args:
        ray: The package.
        make: Called in each actor, to which it is sent.
        items: What can be pickled.
        threads: Cores that an actor takes.
        on_gpu: Whether each takes a GPU as well.
        actors: How many; as many as there is room for when ``None``.
        remedy: What to do where the cluster has no room.

    Raises:
        ConfigError: The cluster has no room for an actor.
        ArgusError: What an actor has raised; or Ray has failed.
    """
    if not items:
        return
    needs = {"num_cpus": threads, **({"num_gpus": 1} if on_gpu else {})}
    rows = [{"number": number, "item": pickle.dumps(item)} for number, item in enumerate(items)]
    with _cluster(ray), _quiet(ray):
        tasks = -(-len(rows) // _ITEMS_OF_A_TASK)
        dataset = ray.data.from_items(rows, override_num_blocks=tasks).map(
            _Actor,
            fn_constructor_args=(make,),
            compute=ray.data.ActorPoolStrategy(size=min(room(ray, needs, actors, remedy), tasks)),
            **needs,
        )
        for row in rows_of(ray, dataset):
            answer = pickle.loads(row["answer"])
            if isinstance(answer, ArgusError):
                raise answer
            yield answer


class _Actor:
    """What answers in one process of the cluster, or the error that it could not be made for."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._answer: Callable[[Any], Any] | ArgusError
        try:
            self._answer = make()
        except ArgusError as error:
            self._answer = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        answer: Any = self._answer
        if not isinstance(answer, ArgusError):
            try:
                answer = answer(pickle.loads(row["item"]))
            except ArgusError as error:
                answer = error
        return {"number": row["number"], "answer": pickle.dumps(answer)}


def rows_of(ray: Any, dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows of a data set, which have a ``number``, in order.

    Raises:
        ArgusError: Ray has failed.
    """
    try:
        for expected, row in enumerate(dataset.iter_rows()):
            assert row["number"] == expected
            yield row
    except ray.exceptions.RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise ArgusError(
            f"Ray has failed: {lines[-1]}",
            remedy="see Ray's logs (/tmp/ray/session_latest/logs); what was written is whole, and the same "
            "command goes on",
        ) from error


def room(ray: Any, needs: Mapping[str, float], actors: int | None, remedy: str) -> int:
    """How many actors the cluster can hold, or as many as were requested.

    Raises:
        ConfigError: It can hold none.
    """
    has = ray.cluster_resources()
    found = min(
        int(has.get(name.removeprefix("num_").upper()[:3], 0) // count) for name, count in needs.items()
    )
    if found < 1:
        wanted = ", ".join(f"{count:g} {name.removeprefix('num_')}" for name, count in needs.items())
        raise ConfigError(f"the Ray cluster has no room for an actor with {wanted}", remedy=remedy)
    return min(found, actors) if actors else found


@contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """A running Ray; one that the caller has started stays.

    Raises:
        ArgusError: None could be started or joined.
    """
    if ray.is_initialized():
        yield
        return
    # With RAY_ADDRESS set, this joins that cluster.
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray has no class of its own for this
        raise ArgusError(
            f"Ray could not be started or joined: {first_line(error)}",
            remedy="try again when the machine is less busy, or start it yourself (ray start --head) and set "
            "RAY_ADDRESS=auto; without Ray: --engine local",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Results in order; no bars and no notices beside ours."""
    context, log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.execution_options.preserve_order, context.enable_progress_bars, log.level
    context.execution_options.preserve_order, context.enable_progress_bars = True, False
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.execution_options.preserve_order, context.enable_progress_bars = before[:2]
        log.setLevel(before[2])
