"""Profiles: vendor data, ``probes/profiles/<name>.yaml``, each for the protocol that its key ``protocol`` names.

The directories come from pydantic's validation context, ``context={"profiles": Path | [Path, ...]}``, first match wins;
without one from the shipped ``probes/profiles``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, cast

from pydantic import BaseModel, StringConstraints, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

import sentinel

LARGEST_FILE: Final = 262_144
DEEPEST: Final = 12

ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]

Model = TypeVar("Model", bound=BaseModel)


def shipped() -> Path:
    """The profiles that come with Sentinel: inside an installed package, or in the source tree."""
    package = Path(sentinel.__file__).parent
    inside = package / "_starter" / "probes" / "profiles"
    return inside if inside.is_dir() else package.parents[1] / "probes" / "profiles"


def directories(context: Mapping[str, Any] | None) -> tuple[Path, ...]:
    """Where to look, from pydantic's validation context."""
    given = (context or {}).get("profiles")
    if not given:
        return (shipped(),)
    return tuple(given) if isinstance(given, Sequence) else (Path(given),)


def load(name: str, folders: Sequence[Path], model: type[Model], protocol: str, word: str) -> Model:
    """The profile of that name; ``word`` is what people call the protocol.

    Raises:
        ValueError: there is none, or its file is wrong; the text says what and where.
    """
    for folder in folders:
        path = Path(folder) / f"{name}.yaml"
        try:
            status = path.stat()
        except OSError:
            continue
        if status.st_size > LARGEST_FILE:
            raise ValueError(f"{path}: more than {LARGEST_FILE} bytes")
        return cast("Model", _load(path, model, status.st_mtime_ns, status.st_size))
    raise ValueError(f"no {word} profile {name!r}{_known(folders, protocol)}")


def parse(content: str, model: type[Model]) -> Model:
    """A profile's YAML.

    Raises:
        ValueError: it is wrong; the text says what and where.
    """
    try:
        _bounded(content)
        return model.model_validate(YAML(typ="safe", pure=True).load(content))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'profile'}: {e['msg']}" for e in error.errors()[:5])
        raise ValueError(wrong) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())[:500]) from error


def _known(folders: Sequence[Path], protocol: str) -> str:
    marked = re.compile(rb"^protocol:\s*" + protocol.encode() + rb"\s*$", re.MULTILINE)
    paths = [path for folder in folders for path in sorted(Path(folder).glob("*.yaml"))]
    names = sorted({path.stem for path in paths if marked.search(path.read_bytes()[:LARGEST_FILE])})
    return f"; there are: {', '.join(names)}" if names else f" in {', '.join(map(str, folders))}"


@lru_cache(maxsize=128)  # a hundred checks name the same file; a changed file has another time or size
def _load(path: Path, model: type[BaseModel], _changed: int, _size: int) -> BaseModel:
    try:
        return parse(path.read_bytes().decode("utf-8"), model)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _bounded(content: str) -> None:
    """Refuse what a profile never needs: aliases, that multiply, and depth."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(content):
        if isinstance(event, AliasEvent):
            raise ValueError(f"line {event.start_mark.line + 1}: aliases are refused")  # noqa: TRY004 - a file's fault
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"line {event.start_mark.line + 1}: deeper than {DEEPEST} levels")
