"""What a person sees: both languages beside each other, hostile text made harmless, and that something is under way.

Colour, width and the spinner follow the terminal: ``NO_COLOR`` (no-color.org) and ``COLUMNS`` are obeyed, and where
the output goes to a file or a pipe there is neither colour nor movement.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sentinel.app.text import escape

ZH: Final = "zh-CN"

_PIPE_COLUMNS: Final = 240  # nobody looks at a pipe's width, and `grep` wants whole lines


class Bilingual(Protocol):
    """A word of ``sentinel.domain.words``."""

    @property
    def zh(self) -> str:
        """Chinese."""
        ...


def console(*, stderr: bool = False) -> Console:
    """Where to print."""
    stream = sys.stderr if stderr else sys.stdout
    fixed = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_COLUMNS
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=fixed)


def both(words: Mapping[str, Bilingual], key: str) -> str:
    """A word of a closed list in Chinese, with the key that files, metrics and the API know it by."""
    found = words.get(key)
    return f"{found.zh} {key}" if found is not None else key


def table(*headings: str, whole: int = 0) -> Table:
    """A table without lines; what does not fit is folded, but for the first ``whole`` columns, which people copy."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        made.add_column(heading, overflow="fold", no_wrap=place < whole)
    return made


def text(value: object, style: str = "") -> Text:
    """Text that somebody else wrote: no markup, no control characters."""
    return Text(escape(str(value)), style)


def complain(line: str) -> None:
    """One line to stderr."""
    typer.echo(escape(line), err=True)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner while the block runs, where a person looks: stdout and stderr are both a terminal."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield
        return
    with Console(stderr=True, highlight=False).status(escape(what)):
        yield
