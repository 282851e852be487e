"""From pydantic's errors to lines for an operator: where it is written, what is wrong, what was probably meant.

``salvage`` validates a whole file, says everything that is wrong with it, and gives what is left when the broken
entries are taken out: so the references of the good ones can be checked in the same run.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sentinel.config.document import Node
from sentinel.config.problems import Position, Problems, did_you_mean

Model = TypeVar("Model", bound=BaseModel)
Step = str | int


def salvage(model: type[Model], node: Node, problems: Problems) -> tuple[Model | None, Node, set[str]]:
    """The model without its broken entries, the tree that it was made of, and the ids that were taken out with them.

    The model is None where the file cannot be used at all.
    """
    removed: set[str] = set()
    told = False
    for _ in range(50):  # an entry can be broken in ways that show one after another
        try:
            return model.model_validate(node.plain()), node, removed
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        if not told:
            for detail in details:
                report(detail, model, node, problems)
        told = True
        cuts = {cut for detail in details if (cut := _entry(model, detail)) is not None}
        if len(cuts) == 0 or () in cuts:
            return None, node, removed
        node = _without(node, cuts, removed)
    return None, node, removed


def report(detail: ErrorDetails, model: type[BaseModel], node: Node, problems: Problems) -> None:
    """One error of pydantic's as a problem at the node that it speaks of."""
    path = real_path(detail["loc"], node)
    problems.error(_position(detail, path, node), message(detail, model, node.at(*path).value))


def real_path(loc: Sequence[Step], node: Node) -> tuple[Step, ...]:
    """A location without what pydantic adds to it (tags of unions, names of validators).

    It may end one key past a node: a key that is missing.
    """
    path: list[Step] = []
    for index, step in enumerate(loc):
        found = node.child(step)
        if found is not None:
            node = found
            path.append(step)
        elif index == len(loc) - 1:
            path.append(step)
    return tuple(path)


def _position(detail: ErrorDetails, path: tuple[Step, ...], node: Node) -> Position:
    if not path:
        return node.position
    if detail["type"] in ("extra_forbidden", "invalid_key") or "[key]" in detail["loc"]:
        steps = [step for step in path if step != "[key]"]
        return node.key(*steps) if steps else node.position
    if detail["type"] == "missing":
        owner = path[:-1]
        return node.at(*owner).position
    return node.at(*path).position


def message(detail: ErrorDetails, model: type[BaseModel], value: Any = None) -> str:  # noqa: C901, PLR0911, PLR0912 - one line a kind of error
    """What is wrong, in an operator's words; never shows ``value``, what was given, which may be a secret."""
    kind, context, loc = detail["type"], detail.get("ctx", {}), detail["loc"]
    last = str(loc[-1]) if loc else ""
    if kind == "extra_forbidden":
        return f"unknown key `{last[:80]}`{did_you_mean(last, known_keys(model, loc[:-1]))}"
    if kind == "missing" and last:
        return f"`{last}` is missing"
    if kind == "value_error":
        return str(context.get("error", detail["msg"]))
    if kind in ("literal_error", "enum"):
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        near = get_close_matches(value.lower(), words, n=1, cutoff=0.75) if isinstance(value, str) else []
        hint = f"; did you mean `{near[0]}`?" if near else ""
        return f"must be one of {', '.join(f'`{word}`' for word in words)}{hint}"
    if kind in ("string_type", "string_sub_type"):
        return "text is expected (a number or true/false as text needs quotes)"
    if kind in ("list_type", "tuple_type", "set_type", "frozen_set_type"):
        return "a list is expected"
    if kind in ("dict_type", "model_type", "mapping_type", "model_attributes_type", "dataclass_type"):
        return "a mapping (`key: value`) is expected"
    if kind.startswith("bool"):
        return "`true` or `false` is expected"
    if kind.startswith("int_"):
        return "a whole number is expected"
    if kind.startswith("float_"):
        return "a number is expected"
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    if kind == "greater_than":
        return f"must be more than {context['gt']}"
    if kind == "less_than_equal":
        return f"must be at most {context['le']}"
    if kind == "less_than":
        return f"must be less than {context['lt']}"
    if kind in ("too_short", "string_too_short"):
        return f"must have at least {context.get('min_length')} {_things(kind, context)}"
    if kind in ("too_long", "string_too_long"):
        return f"must have at most {context.get('max_length')} {_things(kind, context)}"
    if kind == "string_pattern_mismatch":
        return _pattern(str(context.get("pattern", "")))
    if kind == "timezone_aware":
        return "the time needs its offset from UTC, as in `2026-12-01T09:00:00+08:00`"
    if kind.startswith("datetime"):
        return "a time is written as `2026-12-01T09:00:00+08:00`"
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _things(kind: str, context: Mapping[str, Any]) -> str:
    collections = ("List", "Tuple", "Set", "Frozenset", "Dictionary")
    return "entries" if not kind.startswith("string") and context.get("field_type") in collections else "characters"


def _pattern(pattern: str) -> str:
    if pattern.startswith("^[a-z0-9]"):
        return "an id has small letters, digits and hyphens only, at most 63, and begins with no hyphen"
    return f"does not match {pattern}"


def known_keys(model: type[BaseModel], loc: Sequence[Step]) -> set[str]:
    """The keys that the model has at a location."""
    return {name for kind in _kinds(model, loc) if _is_model(kind) for name in _fields(kind)}


def _fields(model: type[BaseModel]) -> Mapping[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _kinds(model: Any, loc: Sequence[Step]) -> list[Any]:
    kinds = [model]
    for step in loc:
        following = [inner for kind in kinds for inner in _inside(kind, step)]
        kinds = following or kinds  # a step that is no key is a tag of pydantic's
    return kinds


def _inside(kind: Any, step: Step) -> list[Any]:
    if _is_model(kind):
        fields = _fields(kind)
        return _flat(fields[step]) if isinstance(step, str) and step in fields else []
    arguments = get_args(kind)
    origin = get_origin(kind)
    if isinstance(step, int) and isinstance(origin, type) and issubclass(origin, list | tuple):
        return _flat(arguments[0])
    if isinstance(step, str) and isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2:
        return _flat(arguments[1])
    return []


@lru_cache(maxsize=1024)
def _flat_cached(kind: Any) -> tuple[Any, ...]:
    origin = get_origin(kind)
    if origin is Annotated:
        return _flat_cached(get_args(kind)[0])
    if origin in (Union, types.UnionType):
        return tuple(inner for each in get_args(kind) for inner in _flat_cached(each))
    return (kind,)


def _flat(kind: Any) -> list[Any]:
    return list(_flat_cached(kind))


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _entry(model: type[BaseModel], detail: ErrorDetails) -> tuple[Step, ...] | None:
    """The path of the innermost list or mapping entry that an error is in; of an unknown key, the key itself."""
    loc = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return tuple(loc)
    kinds: list[Any] = [model]
    cut: tuple[Step, ...] = ()
    for index, step in enumerate(loc):
        following = [inner for kind in kinds for inner in _inside(kind, step)]
        if following and not any(_is_model(kind) for kind in kinds) and any(_is_model(kind) for kind in following):
            cut = tuple(loc[: index + 1])
        kinds = following or kinds
    return cut


def _without(node: Node, cuts: Iterable[tuple[Step, ...]], removed: set[str]) -> Node:
    """A copy of the tree without the nodes at these paths; every node keeps its position."""
    here: set[Step] = set()
    below: dict[Step, set[tuple[Step, ...]]] = {}
    for cut in cuts:
        step = next((index for index, element in enumerate(cut) if node.child(element) is not None), None)
        if step is None:
            continue
        rest = cut[step + 1 :]
        if rest:
            below.setdefault(cut[step], set()).add(rest)
        else:
            here.add(cut[step])
    if isinstance(node.value, dict):
        for key in here & node.value.keys():
            removed.add(str(key))
            removed.update(_ids(node.value[key]))
        kept = {
            key: _without(child, below[key], removed) if key in below else child
            for key, child in node.value.items()
            if key not in here
        }
        return Node(node.position, kept, node.keys, spoilt=bool(here) or node.spoilt)
    if isinstance(node.value, list):
        for index in here:
            if isinstance(index, int):
                removed.update(_ids(node.value[index]))
        items = [
            _without(child, below[index], removed) if index in below else child
            for index, child in enumerate(node.value)
            if index not in here
        ]
        return Node(node.position, items, spoilt=bool(here) or node.spoilt)
    return node


def _ids(node: Node) -> Iterable[str]:
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            if key == "id" and isinstance(child.value, str):
                yield child.value
            yield from _ids(child)
    elif isinstance(node.value, list):
        for child in node.value:
            yield from _ids(child)
