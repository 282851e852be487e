"""A short hash of every check and rule: two that are alike work alike, so a reload keeps their state.

Secrets are part of it, so it never leaves the control socket.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from dataclasses import fields as dataclass_fields
from hashlib import blake2b
from typing import Any, Final

from pydantic import BaseModel, SecretBytes, SecretStr

from sentinel.domain.baseline import CheckBaseline
from sentinel.domain.rule import Rule, Threshold
from sentinel.domain.target import Check

NO_BASELINES: Final[Mapping[str, CheckBaseline]] = {}


def of_check(check: Check, *, options: str) -> str:
    """Of the check and its target; ``options`` is ``of_options`` of its options, which many checks share."""
    fields = {
        name: getattr(check, name) for name in ("probe", "protocol", "interval", "timeout", "vantage", "required")
    }
    via = None if check.via is None else [_plain(getattr(check.via, each.name)) for each in dataclass_fields(check.via)]
    return _hash({"target": asdict(check.target), "options": options, "via": via, **fields})


def of_options(options: BaseModel) -> str:
    """Of a model, its secrets, and what it has loaded besides (an SNMP check its profile)."""
    return _hash(_dumped(options))


def of_rule(rule: Rule, baselines: Mapping[str, CheckBaseline] = NO_BASELINES) -> str:
    """Of a rule with its predicate's kind, and with what it compares."""
    fields = {"predicate": type(rule.predicate).__name__, **asdict(rule)}
    if isinstance(rule.predicate, Threshold) and rule.predicate.deviates is not None:
        name = rule.predicate.value
        fields["baselines"] = sorted(
            (check, value, hour, usual.centre, usual.spread)
            for check, baseline in baselines.items()
            for value, day in baseline.items()
            if value.partition(":")[0] == name
            for hour, usual in day.items()
        )
    return _hash(fields)


def fingerprints(
    checks: Iterable[Check], rules: Iterable[Rule], baselines: Mapping[str, CheckBaseline] = NO_BASELINES
) -> Mapping[str, str]:
    """By the id of a check (``hall-01.ping``) or a rule (an id without a dot)."""
    shared: dict[int, str] = {}
    found: dict[str, str] = {}
    for check in checks:
        if id(check.options) not in shared:
            shared[id(check.options)] = of_options(check.options)
        found[check.id] = of_check(check, options=shared[id(check.options)])
    return found | {rule.id: of_rule(rule, baselines) for rule in rules}


def _dumped(model: BaseModel) -> list[Any]:
    loaded = [_dumped(value) for _, value in sorted((model.__pydantic_private__ or {}).items()) if _is_model(value)]
    return [model.model_dump(mode="json"), list(_secrets(model)), loaded]  # the dump masks what is secret


def _is_model(value: Any) -> bool:
    return isinstance(value, BaseModel)


def _secrets(value: Any) -> Iterator[str]:
    """Every secret in a value, in a fixed order."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, SecretBytes):
        yield value.get_secret_value().hex()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for key in value:
            yield from _secrets(value[key])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secrets(each)


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return blake2b(text.encode(), digest_size=8).hexdigest()
