"""A progress bar with throughput and time left, on stderr; nothing where nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")


class _Throughput(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}/s", style="progress.data.speed")


@contextmanager
def progress_bar(
    description: str, total: int, *, unit: str = "images", shown: bool = True
) -> Iterator[Callable[[], None]]:
    """A bar as long as the body lasts; gives what moves it on by one."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Throughput(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task(description, total=total)
        yield lambda: progress.advance(task)


def track(
    items: Iterable[T], total: int, description: str, *, unit: str = "images", enabled: bool = True
) -> Generator[T, None, None]:
    """Passes items on and shows how far along they are, until they end or the generator is closed."""
    with progress_bar(description, total, unit=unit, shown=enabled) as advance:
        for item in items:
            yield item
            advance()
