"""Answers that a check expects, made from what it expects: a text for a pattern, a document for JSON paths.

The commonest of a pattern's syntax is understood, which is what greetings and pages are matched by; what is not is
told, and the check then fails in the lab as it would before a device that says something else.
"""

from __future__ import annotations

import re
import re._constants as sre  # type: ignore[import-not-found]  # the standard library's own, without stubs
import re._parser as parser  # type: ignore[import-not-found]  # the same
from collections.abc import Iterable, Sequence
from typing import Any, Final

import jsonpath
from jsonpath import JSONPath
from jsonpath.segments import JSONPathChildSegment
from jsonpath.selectors import IndexSelector, NameSelector

from sentinel.sdk.patterns import Pattern

_CATEGORY: Final = {
    sre.CATEGORY_DIGIT: "1",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_WORD: "a",
    sre.CATEGORY_NOT_DIGIT: "a",
    sre.CATEGORY_NOT_SPACE: "a",
    sre.CATEGORY_NOT_WORD: "-",
}
_CANDIDATES: Final = "a1A -_.:/0bz\n"
_MOST: Final = 2_000  # characters


class NoExample(Exception):
    """No answer can be made for what is expected."""


def text_for(pattern: Pattern) -> str:
    """The shortest text at hand in which a pattern is found.

    Raises:
        NoExample: the pattern uses what is not understood here.
    """
    source = pattern.source.replace(r"\z", r"\Z")  # RE2's name of the text's end
    try:
        found = _sequence(parser.parse(source).data)
    except (re.error, NoExample, RecursionError, OverflowError) as error:
        raise NoExample(f"no text can be made for the pattern {pattern.source!r}") from error
    if len(found) > _MOST or not pattern.found_in(found):
        raise NoExample(f"no text can be made for the pattern {pattern.source!r}")
    return found


def _sequence(items: Iterable[tuple[Any, Any]]) -> str:
    return "".join(_item(operation, argument) for operation, argument in items)


def _item(operation: Any, argument: Any) -> str:
    if operation is sre.LITERAL:
        return chr(int(argument))
    if operation is sre.NOT_LITERAL:
        return next(each for each in _CANDIDATES if ord(each) != argument)
    if operation is sre.ANY:
        return "a"
    if operation is sre.AT:
        return ""
    if operation is sre.IN:
        return _one_of(argument)
    if operation is sre.BRANCH:
        return _sequence(argument[1][0])
    if operation is sre.SUBPATTERN:
        return _sequence(argument[3])
    if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        least, _, inner = argument
        if least > _MOST:
            raise NoExample
        return _sequence(inner) * int(least)
    raise NoExample(str(operation))


def _one_of(choices: Sequence[tuple[Any, Any]]) -> str:
    first, argument = choices[0]
    if first is sre.NEGATE:
        for each in _CANDIDATES:
            if not any(_holds(choice, each) for choice in choices[1:]):
                return each
        raise NoExample
    if first is sre.LITERAL:
        return chr(int(argument))
    if first is sre.RANGE:
        return chr(argument[0])
    return str(_CATEGORY[argument])


def _holds(choice: tuple[Any, Any], character: str) -> bool:
    operation, argument = choice
    if operation is sre.LITERAL:
        return bool(argument == ord(character))
    if operation is sre.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    letter = {sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_SPACE: r"\s", sre.CATEGORY_WORD: r"\w"}.get(argument)
    return letter is None or re.match(letter, character) is not None


def document_for(expectations: Iterable[Any]) -> Any:
    """A JSON document in which each expectation's path (names and indices only) finds a value that compares.

    Raises:
        NoExample: a path with wildcards, filters or slices, or two that contradict each other.
    """
    root: dict[str, Any] = {}
    for expectation in expectations:
        steps = _steps(expectation.path)
        _put(root, steps, _value(expectation))
    return root


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    compiled = jsonpath.compile(path)
    for segment in compiled.segments if isinstance(compiled, JSONPath) else ():
        if not isinstance(segment, JSONPathChildSegment):
            raise NoExample(f"no document can be made for the path {path}")
        for selector in segment.selectors:
            if isinstance(selector, NameSelector):
                steps.append(selector.name)
            elif isinstance(selector, IndexSelector) and 0 <= selector.index < 100:
                steps.append(selector.index)
            else:
                raise NoExample(f"no document can be made for the path {path}")
    return steps


def _put(root: Any, steps: Sequence[str | int], value: Any) -> None:
    here = root
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        new: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(step, int) and isinstance(here, list):
            here.extend({} for _ in range(step + 1 - len(here)))
            here[step] = here[step] if here[step] and following is not None else new
        elif isinstance(step, str) and isinstance(here, dict):
            if following is None:
                here[step] = new
            else:
                here.setdefault(step, new)
        else:
            raise NoExample("two JSON paths contradict each other")
        here = here[step]


def _value(expectation: Any) -> Any:
    given = expectation.model_fields_set
    if "equals" in given:
        return expectation.equals
    if expectation.matches is not None:
        return text_for(expectation.matches)
    if expectation.at_least is not None:
        return expectation.at_least
    if expectation.at_most is not None:
        return expectation.at_most
    return "UP" if expectation.not_equals != "UP" else "OK"
