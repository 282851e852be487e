"""What is wrong with a configuration, and where: one line for people each, all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file; line and column count from 1, as editors do."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong; ``str`` gives ``file:line:column: message``, which editors turn into a link."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ConfigRefused(Exception):
    """The configuration has errors; ``problems`` are all of them, in the order of the files."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class Problems:
    """Collects errors and warnings, each once, and keeps secrets out of their words."""

    def __init__(self) -> None:
        self._errors: dict[Problem, None] = {}
        self._warnings: dict[Problem, None] = {}
        self._secrets: set[str] = set()
        self._settled: set[Position] = set()

    def conceal(self, secret: str) -> None:
        """Never show this text; a text of one or two characters would blot out half of every message."""
        if len(secret) > 2:
            self._secrets.add(secret)

    def error(self, position: Position, message: str, *, last: bool = False) -> None:
        """The configuration is refused.  After the ``last`` error at a position, more of them there say nothing new."""
        if position not in self._settled:
            self._errors[self._problem(position, message)] = None
        if last:
            self._settled.add(position)

    def warning(self, position: Position, message: str) -> None:
        """The configuration works, but hardly as it was meant."""
        self._warnings[self._problem(position, message)] = None

    @property
    def errors(self) -> list[Problem]:
        """In the order of file, line and column."""
        return sorted(self._errors)

    @property
    def warnings(self) -> list[Problem]:
        """In the order of file, line and column."""
        return sorted(self._warnings)

    def _problem(self, position: Position, message: str) -> Problem:
        for secret in self._secrets:
            message = message.replace(secret, "***")
        return Problem(position.file, position.line, position.column, message)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean `internal`?`` where a known word is near, else the known words where they are few."""
    words = sorted(set(known))
    near = get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    if near:
        return f"; did you mean `{near[0]}`?"
    if 0 < len(words) <= 12:
        return f"; known: {', '.join(words)}"
    return ""
