"""What there is to probe and to tell with: protocols and channels, found and never listed.

They come from the packages ``sentinel.protocols`` and ``sentinel.channels`` (every module or folder with a
``PROTOCOL`` or ``CHANNEL``), from installed packages (entry points of the groups ``sentinel.protocols`` and
``sentinel.channels``), and, where switched on, from the files in ``probes/site``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import re
import stat
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Generic, TypeVar

import sentinel.channels
import sentinel.protocols
from sentinel.sdk.channel import Channel
from sentinel.sdk.protocol import Protocol

Kind = TypeVar("Kind", Protocol, Channel)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True, slots=True)
class Broken:
    """A file or package that was asked for and cannot be used: where and why, for people."""

    file: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """Protocols and channels by name, and what could not be used."""

    protocols: Mapping[str, Protocol]
    channels: Mapping[str, Channel]
    broken: tuple[Broken, ...] = ()


def discover(site: Path | None = None) -> Catalog:
    """Everything that is installed, and the site-local protocols in the directory ``site`` (None: switched off).

    Never raises for what others wrote: a file that cannot be imported, that somebody else could have changed, or
    that takes a name that is taken is in ``Catalog.broken``.
    """
    broken: list[Broken] = []
    protocols = _Shelf("PROTOCOL", Protocol, broken)
    channels = _Shelf("CHANNEL", Channel, broken)
    protocols.package(sentinel.protocols)
    channels.package(sentinel.channels)
    protocols.installed("sentinel.protocols")
    channels.installed("sentinel.channels")
    if site is not None:
        for path, module in _site(site, broken):
            protocols.declared(module, str(path))
    return Catalog(protocols.sorted(), channels.sorted(), tuple(broken))


class _Shelf(Generic[Kind]):
    """What was found of one kind."""

    def __init__(self, constant: str, kind: type[Kind], broken: list[Broken]) -> None:
        self._constant, self._broken = constant, broken
        self._kind: type[Kind] = kind
        self._found: dict[str, Kind] = {}

    def sorted(self) -> Mapping[str, Kind]:
        return MappingProxyType(dict(sorted(self._found.items())))

    def package(self, package: ModuleType) -> None:
        """Every module of our own that declares one; others beside it are its parts."""
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if info.name.rpartition(".")[2].startswith("_"):
                continue
            try:
                module = importlib.import_module(info.name)
            except Exception as error:  # noqa: BLE001 - one broken file must not hide the others
                self._broken.append(Broken(info.name, 1, f"cannot be imported: {_words(error)}"))
                continue
            if hasattr(module, self._constant):
                self.declared(module, module.__file__ or info.name)

    def installed(self, group: str) -> None:
        for point in entry_points(group=group):
            origin = f"{point.dist.name if point.dist else 'package'}:{point.value}"
            try:
                loaded = point.load()
            except Exception as error:  # noqa: BLE001 - somebody else's code: whatever it raises, we say whose it is
                self._broken.append(Broken(origin, 1, f"cannot be imported: {_words(error)}"))
                continue
            if isinstance(loaded, ModuleType):
                self.declared(loaded, origin)
            else:
                self._enter(loaded, origin)

    def declared(self, module: ModuleType, origin: str) -> None:
        """What a module declares in its constant."""
        if hasattr(module, self._constant):
            self._enter(getattr(module, self._constant), origin)
        else:
            self._broken.append(Broken(origin, 1, f"declares no {self._constant}"))

    def _enter(self, declared: Any, origin: str) -> None:
        if isinstance(declared, self._kind):
            fault = self._fault(declared)
        else:
            fault = f"{self._constant} is no {self._kind.__name__} of the SDK"
        if fault:
            self._broken.append(Broken(origin, 1, fault))
        else:
            self._found[declared.name] = declared

    def _fault(self, declared: Kind) -> str:
        if not _NAME.fullmatch(declared.name):
            return f"`{declared.name}` is no name: small letters, digits and underscores"
        if declared.name in self._found:
            return f"the name `{declared.name}` is taken already"
        bare = [name for name, field in declared.options.model_fields.items() if not field.description]
        return f"these options have no description: {', '.join(bare)}" if bare else ""


def _site(directory: Path, broken: list[Broken]) -> Iterator[tuple[Path, ModuleType]]:
    if not directory.is_dir():
        broken.append(Broken(str(directory), 1, "site protocols are switched on, but there is no such directory"))
        return
    if fault := _unguarded(directory):
        broken.append(Broken(str(directory), 1, fault))
        return
    for path in sorted(directory.glob("*.py")):
        if path.name.startswith("_"):
            continue
        if fault := _unguarded(path):
            broken.append(Broken(str(path), 1, fault))
            continue
        try:
            module = _import(path)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the operator's code: we say which file, and live on
            broken.append(Broken(str(path), _line(error, path), f"cannot be imported: {_words(error)}"))
            continue
        yield path, module


def _unguarded(path: Path) -> str:
    """Why another user could have written this code, which would run with our rights; empty where none could."""
    # Follows a link: what counts is whose the code is; the link itself lies in a guarded directory.
    try:
        status = path.stat()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if status.st_uid not in (0, os.geteuid()):
        return f"must be owned by root or by user {os.geteuid()}, not by user {status.st_uid}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"must not be writable by group or others: chmod go-w {path}"
    return ""


def _import(path: Path) -> ModuleType:
    name = f"sentinel_site_{re.sub('[^A-Za-z0-9_]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks a model's annotations up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _line(error: BaseException, path: Path) -> int:
    if isinstance(error, SyntaxError):
        return error.lineno or 1
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(path)), 1)


def _words(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"[:500]
