"""Stages of a long run: shown while they run, timed, also when several run at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn


class Bars:
    """A bar for each thing that is done, begun when it is first told of.

    Parameters
    ----------
    progress : Progress
        Where they are shown.
    title : callable
        Of what is done; returns what to call it.
    """

    def __init__(self, progress: Progress, title: Callable[[str], str]) -> None:
        self._progress, self._title = progress, title
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` are done of something."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(self._title(what), total=total)
        self._progress.update(self._tasks[what], completed=done)


class Stages:
    """Shows stages on a console and keeps their seconds.

    A terminal gets one line per stage with a running clock; a file gets a line for each stage
    that came to its end.

    Parameters
    ----------
    console : Console
        Where to; standard error keeps standard output for results.

    Attributes
    ----------
    seconds : dict of str to float
        Wall time of each finished stage, in the order they began.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]ok"),
            TextColumn("{task.description:<34}"),
            TextColumn("{task.fields[clock]:>8}"),
            TextColumn("{task.fields[note]}"),
            console=console,
        )

    def __enter__(self) -> Stages:
        """Start the display."""
        if self.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the display."""
        if self.console.is_terminal:
            self._progress.stop()

    @contextmanager
    def stage(self, name: str, key: str | None = None) -> Iterator[list[str]]:
        """Time one stage.

        Parameters
        ----------
        name : str
            What is shown.
        key : str, optional
            Entry in ``seconds``; the name by default.

        Yields
        ------
        list of str
            Append to it what is to be said about the outcome.
        """
        notes: list[str] = []
        key = key or name
        self.seconds[key] = 0.0  # keeps the order of beginning
        task = self._progress.add_task(name, total=1, clock="", note="")
        start = time.monotonic()
        try:
            yield notes
        except BaseException:
            self._progress.update(task, completed=1, note="failed")
            raise
        took = time.monotonic() - start
        self.seconds[key] = round(took, 1)
        note = ", ".join(notes)
        self._progress.update(task, completed=1, clock=f"{took:.1f} s", note=note)
        if not self.console.is_terminal:
            tail = f": {note}" if note else ""
            self.console.print(f"{name}: {took:.1f} s{tail}", highlight=False, soft_wrap=True)
