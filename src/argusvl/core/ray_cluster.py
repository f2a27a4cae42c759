"""Rows through actors of a Ray cluster, in order: for one machine, or many that see files under the same path."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from argusvl.core.errors import ArgusError, ConfigError
from argusvl.core.extras import import_extra
from argusvl.core.wording import first_line


def import_ray() -> Any:
    """Ray with Ray Data.

    Raises:
        ArgusError: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unasked
    return import_extra("ray", "data")


def map_rows(
    ray: Any,
    actor: type,
    arguments: Sequence[Any],
    rows: Sequence[Mapping[str, Any]],
    *,
    needs: Mapping[str, float],
    actors: int | None,
    rows_of_a_task: int,
    remedy: str,
) -> Generator[dict[str, Any], None, None]:
    """What the actors make of the rows, in their order. A cluster that this starts is ended with the generator.

    Args:
        ray: The package.
        actor: Its instances are called with a row and give one.
        arguments: What it is made with, in each process.
        rows: What Arrow can hold.
        needs: Of an actor: ``num_cpus`` and the like.
        actors: How many; as many as there is room for when ``None``.
        rows_of_a_task: A task costs Ray some milliseconds, comes back as a whole, and is done again where its machine
            fails.
        remedy: What to do where the cluster has no room.

    Raises:
        ConfigError: The cluster has no room for an actor.
        ArgusError: Ray has failed.
    """
    if not rows:
        return
    with _cluster(ray), _quiet(ray):
        tasks = -(-len(rows) // rows_of_a_task)
        dataset = ray.data.from_items(list(rows), override_num_blocks=tasks).map(
            actor,
            fn_constructor_args=tuple(arguments),
            compute=ray.data.ActorPoolStrategy(size=min(room(ray, needs, actors, remedy), tasks)),
            **needs,
        )
        yield from rows_of(ray, dataset)


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
