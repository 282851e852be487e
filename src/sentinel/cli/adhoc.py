"""A probe's options from the words of a command line: ``--name value``, JSON, references to secrets, a pasted URL."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from sentinel.config.document import Node
from sentinel.config.problems import Position, Problems, did_you_mean
from sentinel.config.secrets import DIRECTORY, Secrets

_HOST = re.compile(r"[0-9A-Za-z_]([0-9A-Za-z._-]{0,252})")


class NotUnderstood(Exception):
    """The command line is wrong; each of ``lines`` says why."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def given(model: type[BaseModel], arguments: list[str]) -> dict[str, Any]:
    """Options from ``--name value``, ``--name=value``, ``--flag`` and ``--no-flag``; lists and objects are JSON.

    Raises:
        NotUnderstood: there is no such option, it is given twice, or its secret is not to be had.
    """
    found: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise NotUnderstood(f"not understood: {word!r}; options are written --name value")
        name, equals, value = word[2:].partition("=")
        key = name.replace("-", "_")
        off = key.removeprefix("no_") if _is_flag(model, key.removeprefix("no_")) and not equals else key
        if off not in model.model_fields:
            raise NotUnderstood(f"there is no option --{name}{did_you_mean(key, model.model_fields)}")
        if off in found:
            raise NotUnderstood(f"--{name} is given twice")
        if off != key:
            found[off] = False
        elif equals:
            found[key] = _value(word, value)
        elif rest and not rest[0].startswith("--"):
            found[key] = _value(word, rest.pop(0))
        elif _is_flag(model, key):
            found[key] = True
        else:
            raise NotUnderstood(f"--{name} wants a value")
    return found


def _is_flag(model: type[BaseModel], key: str) -> bool:
    return key in model.model_fields and model.model_fields[key].annotation is bool


def _value(option: str, text: str) -> Any:
    """Text, or what it is as JSON; a secret that it refers to is looked up as in a configuration."""
    value: Any = text
    if text[:1] in ("[", "{"):
        with contextlib.suppress(ValueError):  # a pattern may begin so
            value = json.loads(text)
    problems = Problems()
    value = _expanded(value, Secrets([Path.cwd(), DIRECTORY]), Position(option.partition("=")[0]), problems)
    if problems.errors:
        raise NotUnderstood(*(f"{problem.file}: {problem.message}" for problem in problems.errors))
    return value


def _expanded(value: Any, secrets: Secrets, place: Position, problems: Problems) -> Any:
    """After JSON was parsed, so that what a secret holds never becomes structure."""
    if isinstance(value, dict):
        return {key: _expanded(child, secrets, place, problems) for key, child in value.items()}
    if isinstance(value, list):
        return [_expanded(child, secrets, place, problems) for child in value]
    node = Node(place, value)
    secrets.expand(node, problems)
    return node.value


def pasted(protocol: str, model: type[BaseModel], address: str) -> tuple[str, dict[str, Any]]:
    """The host of an address, and the options that the rest of it means where it is a URL.

    Raises:
        NotUnderstood: it is no address, or a URL of another protocol.
    """
    if "://" not in address:
        host = address.removeprefix("[").removesuffix("]")
        if not (_is_ip(host) or _HOST.fullmatch(host)):
            raise NotUnderstood(f"{address!r} is no address and no name; a port is given with --port")
        return host, {}
    scheme = address.partition(":")[0].lower()
    if scheme not in (protocol, f"{protocol}s"):
        plain = scheme.removesuffix("s")
        raise NotUnderstood(f"a URL of {scheme}, but the protocol is {protocol}: `sentinel probe {plain} …`?")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise NotUnderstood(f"the URL is not understood: {error}") from None
    if not (_is_ip(host) or _HOST.fullmatch(host)):
        raise NotUnderstood("the URL names no host")
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    meant = {
        "scheme": scheme,
        "tls": scheme != protocol or None,
        "port": port,
        "path": path or None,
        "username": None if parts.username is None else unquote(parts.username),
        "password": None if parts.password is None else unquote(parts.password),
    }
    options = {name: value for name, value in meant.items() if value is not None and name in model.model_fields}
    lost = [name for name in ("port", "path", "username") if meant[name] is not None and name not in options]
    if lost and not (lost == ["path"] and path == "/"):
        raise NotUnderstood(f"{protocol} has no {' and no '.join(lost)}")
    return host, options


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
