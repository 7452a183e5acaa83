"""What a run says while it goes on: to Dagster's log always, to a terminal when one listens.

The steps report to `current()`. Nobody listens in a run started from the Dagster UI; `firstvisit run`
installs a display, live on a terminal and plain lines elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

# A plain log gets a sign of life from a long step this often, seconds.
_SIGN_OF_LIFE = 15.0


class Listener(Protocol):
    """Hears of stages (`landing`, `transforming`, `publishing`) and of what they do."""

    def stage(self, name: str, about: str = "") -> None:
        """A stage begins; the one before it is done. `about` is one phrase on what it does."""

    def doing(
        self, what: str, rows: int | None = None, done: int | None = None, of: int | None = None
    ) -> None:
        """`what` is being worked on: rows so far, or so many things done of so many."""

    def finished(self, what: str, rows: int | None = None, note: str = "", *, failed: bool = False) -> None:
        """`what` is done; `note` goes beside it. `failed` shows it as gone wrong."""


class _Silent:
    def stage(self, name: str, about: str = "") -> None:
        pass

    def doing(
        self, what: str, rows: int | None = None, done: int | None = None, of: int | None = None
    ) -> None:
        pass

    def finished(self, what: str, rows: int | None = None, note: str = "", *, failed: bool = False) -> None:
        pass


_listener: Listener = _Silent()


def current() -> Listener:
    """Who listens in this process."""
    return _listener


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send what the steps of this process report to `listener`."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


@contextmanager
def display(console: Console) -> Iterator[Listener]:
    """A display on the console: live on a terminal, plain lines elsewhere."""
    if console.is_terminal:
        live = _Live(console)
        with Live(live, console=console, refresh_per_second=8, transient=True):
            yield live
        live.close()
    else:
        lines = _Lines(console)
        yield lines
        lines.close()


def elapsed(seconds: float) -> str:
    """1:05 for 65 seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _figure(rows: int | None, done: int | None = None, of: int | None = None) -> str:
    if of is not None and done is not None:
        return f"{done:,}/{of:,}"
    return "" if rows is None else f"{rows:,} rows"


class _Stage:
    """One stage's figures: what it is at, what went wrong, how long it took."""

    def __init__(self, name: str, about: str) -> None:
        self.name, self.about = name, about
        self.begun = time.monotonic()
        self.ended: float | None = None
        self.at = ""
        self.figure = ""
        self.rows = 0
        self.things = 0
        self.troubles = 0

    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.begun

    def summary(self) -> str:
        parts = [f"{self.things} done" if self.things > 1 else "", f"{self.rows:,} rows" if self.rows else ""]
        return ", ".join(part for part in parts if part)


class _Display:
    """The bookkeeping that both displays share."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.stages: list[_Stage] = []

    def stage(self, name: str, about: str = "") -> None:
        if self.stages and self.stages[-1].name == name:
            return
        self._end()
        self.stages.append(_Stage(name, about))
        self._began(self.stages[-1])

    def doing(
        self, what: str, rows: int | None = None, done: int | None = None, of: int | None = None
    ) -> None:
        if self.stages:
            stage = self.stages[-1]
            stage.at, stage.figure = what, _figure(rows, done, of)
            self._at(stage)

    def finished(self, what: str, rows: int | None = None, note: str = "", *, failed: bool = False) -> None:
        if not self.stages:
            return
        stage = self.stages[-1]
        stage.things += 1
        stage.rows += rows or 0
        if failed:
            stage.troubles += 1
            self._failed(f"{what}: {note}" if note else what)
        elif rows:
            self._done(f"{what}: {rows:,} rows{f' ({note})' if note else ''}")

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        if self.stages and self.stages[-1].ended is None:
            self.stages[-1].ended = time.monotonic()
            self._ended(self.stages[-1])

    def _began(self, stage: _Stage) -> None:
        pass

    def _at(self, stage: _Stage) -> None:
        pass

    def _failed(self, text: str) -> None:
        pass

    def _done(self, text: str) -> None:
        pass

    def _ended(self, stage: _Stage) -> None:
        pass


class _Live(_Display):
    """Finished stages as ticked lines above, the present one with a spinner."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._spinner = Spinner("dots", style="cyan")

    def __rich__(self) -> RenderableType:
        if not self.stages or self.stages[-1].ended is not None:
            return Text("")
        stage = self.stages[-1]
        row = Table.grid(padding=(0, 1))
        row.add_column(width=1)
        row.add_column(width=13, style="bold")
        row.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        row.add_column(justify="right", style="cyan", no_wrap=True)
        row.add_column(justify="right", style="dim", no_wrap=True)
        row.add_row(
            self._spinner, stage.name, stage.at or stage.about, stage.figure, elapsed(stage.seconds())
        )
        return Group(row)

    def _failed(self, text: str) -> None:
        self.console.print(Text(f"! {text}", style="yellow"))

    def _ended(self, stage: _Stage) -> None:
        line = Text.assemble(
            ("! " if stage.troubles else "✓ ", "yellow" if stage.troubles else "green"),
            (f"{stage.name:<13}", "bold"),
            f" {stage.summary()} ",
            (elapsed(stage.seconds()), "dim"),
        )
        self.console.print(line)


class _Lines(_Display):
    """One plain line per thing done, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._began_at = time.monotonic()
        self._said = self._began_at

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        self.console.print(
            f"{elapsed(self._said - self._began_at):>6}  {text}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def _began(self, stage: _Stage) -> None:
        self._say(f"{stage.name}: {stage.about}" if stage.about else stage.name)

    def _at(self, stage: _Stage) -> None:
        if time.monotonic() - self._said > _SIGN_OF_LIFE:
            self._say(f"  {stage.at} {stage.figure}".rstrip())

    def _failed(self, text: str) -> None:
        self._say(f"  ! {text}")

    def _done(self, text: str) -> None:
        self._say(f"  {text}")

    def _ended(self, stage: _Stage) -> None:
        summary = stage.summary()
        self._say(f"{stage.name} done{f': {summary}' if summary else ''} in {elapsed(stage.seconds())}")
