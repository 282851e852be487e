"""JSONPath (RFC 9535) with its ``match()`` and ``search()`` on RE2."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from jsonpath.function_extensions import ExpressionType, FilterFunction

from sentinel.sdk.patterns import Pattern

MAX_FOUND: Final = 1_000
"""Values that one path may find."""


class _OnRe2(FilterFunction):
    """``search(value, pattern)`` and, for the whole value, ``match(value, pattern)``: RFC 9535, 2.4.6 and 2.4.7."""

    arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012 - the library's own declaration
    return_type = ExpressionType.LOGICAL

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def __call__(self, value: object, pattern: object) -> bool:
        if not isinstance(value, str) or not isinstance(pattern, str):
            return False
        try:
            compiled = Pattern(pattern)
        except ValueError:  # "the result is LogicalFalse" where the pattern is none
            return False
        return compiled.whole(value) if self._whole else compiled.found_in(value)


def _environment() -> JSONPathEnvironment:
    environment = JSONPathEnvironment(strict=True)
    environment.function_extensions["match"] = _OnRe2(whole=True)
    environment.function_extensions["search"] = _OnRe2(whole=False)
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=1024)
def compiled(path: str) -> Any:
    """The query for a path.

    Raises:
        ValueError: not a path of RFC 9535, or one that descends (``..``) more than once: over a hostile document
            that takes quadratic time and worse.
    """
    if path.count("..") > 1:
        raise ValueError("a path may descend (..) once at most")
    try:
        return _ENVIRONMENT.compile(path)
    except (JSONPathError, RecursionError) as error:
        raise ValueError(f"not a JSONPath of RFC 9535: {error}") from None


def find(path: str, document: Any) -> list[Any]:
    """The values at a path, in the document's order, at most ``MAX_FOUND``."""
    found: list[Any] = []
    for match in compiled(path).finditer(document):
        found.append(match.obj)
        if len(found) >= MAX_FOUND:
            break
    return found
