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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

import sentinel.channels
import sentinel.protocols
from sentinel.sdk.channel import Channel
from sentinel.sdk.protocol import Protocol

Kind = TypeVar("Kind", Protocol, Channel)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True, slots=True)
class Catalog:
    """Protocols and channels by name."""

    protocols: Mapping[str, Protocol]
    channels: Mapping[str, Channel]


class CatalogBroken(Exception):
    """A protocol or channel that was asked for cannot be used: ``file`` says which, the message why."""

    def __init__(self, file: str, message: str) -> None:
        super().__init__(f"{file}: {message}")
        self.file, self.message = file, message


def discover(site: Path | None = None) -> Catalog:
    """Everything that is installed, and the site-local protocols in the directory ``site`` (None: switched off).

    Raises:
        CatalogBroken: a file cannot be imported, is not ours alone to change, or takes a name that is taken.
    """
    protocols: dict[str, Protocol] = {}
    channels: dict[str, Channel] = {}
    for module in _modules(sentinel.protocols):
        _declare(protocols, module, "PROTOCOL", Protocol, _file(module))
    for module in _modules(sentinel.channels):
        _declare(channels, module, "CHANNEL", Channel, _file(module))
    _installed(protocols, "sentinel.protocols", "PROTOCOL", Protocol)
    _installed(channels, "sentinel.channels", "CHANNEL", Channel)
    if site is not None:
        for path, module in _site(site):
            _declare(protocols, module, "PROTOCOL", Protocol, str(path), needed=True)
    return Catalog(_sorted(protocols), _sorted(channels))


def _sorted(found: Mapping[str, Kind]) -> Mapping[str, Kind]:
    return MappingProxyType(dict(sorted(found.items())))


def _file(module: ModuleType) -> str:
    return module.__file__ or module.__name__


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not info.name.rpartition(".")[2].startswith("_"):
            yield importlib.import_module(info.name)


def _installed(found: dict[str, Kind], group: str, constant: str, kind: type[Kind]) -> None:
    for point in entry_points(group=group):
        origin = f"{point.dist.name if point.dist else 'package'}:{point.value}"
        try:
            loaded = point.load()
        except Exception as error:  # somebody else's code: whatever it raises, we say whose it is
            raise CatalogBroken(origin, f"cannot be imported: {_words(error)}") from error
        if isinstance(loaded, ModuleType):
            _declare(found, loaded, constant, kind, origin, needed=True)
        else:
            _enter(found, loaded, constant, kind, origin)


def _declare(
    found: dict[str, Kind], module: ModuleType, constant: str, kind: type[Kind], origin: str, *, needed: bool = False
) -> None:
    declared = getattr(module, constant, None)
    if declared is not None:
        _enter(found, declared, constant, kind, origin)
    elif needed:
        raise CatalogBroken(origin, f"declares no {constant}")


def _enter(found: dict[str, Kind], declared: Any, constant: str, kind: type[Kind], origin: str) -> None:
    if not isinstance(declared, kind):
        raise CatalogBroken(origin, f"{constant} is no {kind.__name__} of the SDK")
    if not _NAME.fullmatch(declared.name):
        raise CatalogBroken(origin, f"`{declared.name}` is no name: small letters, digits and underscores")
    if declared.name in found:
        raise CatalogBroken(origin, f"the name `{declared.name}` is taken already")
    undescribed = [name for name, field in declared.options.model_fields.items() if not field.description]
    if undescribed:
        raise CatalogBroken(origin, f"these options have no description: {', '.join(undescribed)}")
    found[declared.name] = declared


def _site(directory: Path) -> Iterator[tuple[Path, ModuleType]]:
    if not directory.is_dir():
        raise CatalogBroken(str(directory), "site protocols are switched on, but there is no such directory")
    _guarded(directory)
    for path in sorted(directory.glob("*.py")):
        if path.name.startswith("_"):
            continue
        _guarded(path)
        yield path, _import(path)


def _guarded(path: Path) -> None:
    """Refuse what another user could have written: it would run with our rights."""
    status = path.stat()  # follows a link: what counts is whose the code is, and the link lies in a guarded directory
    if status.st_uid not in (0, os.geteuid()):
        raise CatalogBroken(str(path), f"must be owned by root or by user {os.geteuid()}, not by user {status.st_uid}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CatalogBroken(str(path), f"must not be writable by group or others: chmod go-w {path}")


def _import(path: Path) -> ModuleType:
    name = f"sentinel_site_{re.sub('[^A-Za-z0-9_]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CatalogBroken(str(path), "is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic looks a model's annotations up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the operator's own code: whatever it raises, we say which file
        del sys.modules[name]
        raise CatalogBroken(str(path), f"cannot be imported: {_words(error)}") from error
    return module


def _words(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return f"{type(error).__name__}: {error}"
