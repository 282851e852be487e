"""Secrets stay out of the configuration: ``${env:NAME}``, ``${file:PATH}`` and ``${credential:NAME}``.

They are expanded in text only, after the YAML was parsed, so what a secret holds can never become structure.  What
was expanded is handed to ``Problems.conceal``: no message shows it.  ``$${env:NAME}`` stands for itself.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from sentinel.config.document import Node
from sentinel.config.problems import Problems

DIRECTORY: Final = Path("/etc/sentinel/secrets")
MAX_BYTES: Final = 64 * 1024

_REFERENCE = re.compile(r"(\$?)\$\{([a-z]{1,20}):([^${}\n]{1,500})\}")
_KINDS = ("env", "file", "credential")
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,200}")


class Missing(Exception):
    """The secret is not to be had; the message is for people and holds no value."""


class Secrets:
    """Looks references up.

    ``directories`` are where ``${file:PATH}`` may point; a relative path is looked for in each.  ``environment`` is
    the process's, passed in for tests.
    """

    def __init__(self, directories: Iterable[Path], environment: Mapping[str, str] | None = None) -> None:
        self._directories = [Path(os.path.realpath(directory)) for directory in directories]
        self._environment = os.environ if environment is None else environment

    def expand(self, node: Node, problems: Problems) -> None:
        """Replace every reference in and under a node; what is missing is an error at its scalar."""
        for scalar in node.scalars():
            if isinstance(scalar.value, str) and "${" in scalar.value:
                scalar.value = self._text(scalar, problems)

    def _text(self, scalar: Node, problems: Problems) -> str:
        def replace(found: re.Match[str]) -> str:
            if found[1]:
                return found[0][1:]
            try:
                value = self.look_up(found[2], found[3])
            except Missing as error:
                problems.error(scalar.position, f"${{{found[2]}:{found[3]}}}: {error}", last=True)
                return ""
            problems.conceal(value)
            return value

        return _REFERENCE.sub(replace, scalar.value)

    def look_up(self, kind: str, name: str) -> str:
        """The value of one reference; one line end at the end of a file is not part of it.

        Raises:
            Missing: it is not set, not readable, or not allowed to be read.
        """
        if kind == "env":
            if name not in self._environment:
                raise Missing("the environment variable is not set")
            return self._environment[name]
        if kind == "credential":
            return self._credential(name)
        if kind == "file":
            return self._file(name)
        raise Missing(f"unknown kind of secret; known: {', '.join(_KINDS)}")

    def _credential(self, name: str) -> str:
        directory = self._environment.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise Missing("systemd passed no credentials ($CREDENTIALS_DIRECTORY is not set)")
        if not _NAME.fullmatch(name) or name.startswith("."):
            raise Missing("this is no name of a credential")
        return _read(Path(directory) / name)

    def _file(self, name: str) -> str:
        path = Path(name)
        candidates = [path] if path.is_absolute() else [directory / path for directory in self._directories]
        # realpath first: a link or `..` that leads out of the directories is seen as where it leads.
        real = [Path(os.path.realpath(candidate)) for candidate in candidates]
        allowed = [path for path in real if any(path.is_relative_to(directory) for directory in self._directories)]
        if not allowed:
            raise Missing(f"outside of {', '.join(map(str, self._directories))} (see `secret_directories`)")
        return _read(next((path for path in allowed if path.exists()), allowed[0]), private=True)


def _read(path: Path, *, private: bool = False) -> str:
    try:
        # O_NOFOLLOW: the path was resolved; a link that appeared since is somebody's trick.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Missing(f"cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Missing("is no regular file")
        if private and status.st_mode & stat.S_IRWXO:
            raise Missing(f"everybody may read or change it: chmod 600 {path}")
        data = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise Missing(f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Missing("is not UTF-8") from error
    return text.removesuffix("\n").removesuffix("\r")
