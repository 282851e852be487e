"""A short hash of every check and rule: two that are alike work alike, so a reload keeps their state.

Secrets are part of it, so it never leaves the control socket.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from sentinel.domain.rule import Rule
from sentinel.domain.target import Check


def of_check(check: Check, *, options: str) -> str:
    """Of the check and its target; ``options`` is ``of_options`` of its options, which many checks share."""
    fields = {
        name: getattr(check, name) for name in ("probe", "protocol", "interval", "timeout", "vantage", "required")
    }
    return _hash({"target": asdict(check.target), "options": options, **fields})


def of_options(options: BaseModel) -> str:
    """Of a model with its secrets."""
    return _hash({name: getattr(options, name) for name in type(options).model_fields})


def of_rule(rule: Rule) -> str:
    """Of a rule with its predicate's kind."""
    return _hash({"predicate": type(rule.predicate).__name__, **asdict(rule)})


def fingerprints(checks: Iterable[Check], rules: Iterable[Rule]) -> Mapping[str, str]:
    """By the id of a check (``hall-01.ping``) or a rule (an id without a dot)."""
    shared: dict[int, str] = {}
    found: dict[str, str] = {}
    for check in checks:
        if id(check.options) not in shared:
            shared[id(check.options)] = of_options(check.options)
        found[check.id] = of_check(check, options=shared[id(check.options)])
    return found | {rule.id: of_rule(rule) for rule in rules}


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain, ensure_ascii=True)
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, SecretBytes | bytes):
        raw = value.get_secret_value() if isinstance(value, SecretBytes) else value
        return raw.hex()
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return str(value)
