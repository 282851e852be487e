"""Compare an answer with what is expected of it; the first difference ends the probe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from multidict import CIMultiDictProxy
from yarl import URL

from sentinel.protocols.http.expectations import Expectations, HeaderExpectation, JsonExpectation
from sentinel.protocols.http.jsonpath import find
from sentinel.sdk.protocol import Run

_SHOWN: Final = 120  # characters of a value that people are shown


def expect_status(status: int, reason: str, expected: Expectations, run: Run, *, location: URL | None = None) -> None:
    """Fail with ``bad_status``, or ``unauthorized`` (401), ``forbidden`` (403), ``not_found`` (404)."""
    if status in expected.allowed_status:
        return
    code = {401: "unauthorized", 403: "forbidden", 404: "not_found"}.get(status, "bad_status")
    detail = f"{status} {reason}".strip()
    if location is not None:
        detail += f", not followed to {str(location)[:_SHOWN]!r}"
    run.fail(code, detail)


def expect_headers(headers: CIMultiDictProxy[str], expected: tuple[HeaderExpectation, ...], run: Run) -> None:
    """Fail with ``mismatch`` at the first header that is not as expected."""
    for expectation in expected:
        values = headers.getall(expectation.name, [])
        if expectation.absent:
            if values:
                run.fail("mismatch", f"header {expectation.name} is there: {values[0][:_SHOWN]!r}")
        elif not values:
            run.fail("mismatch", f"header {expectation.name} is missing")
        elif expectation.matches is not None and not any(expectation.matches.found_in(value) for value in values):
            run.fail("mismatch", f"header {expectation.name} is {values[0][:_SHOWN]!r}, not {expectation.matches}")


def expect_body(body: bytes, expected: Expectations, run: Run) -> None:
    """Fail with ``mismatch`` at the first text or pattern that is not as expected; ``body`` is UTF-8."""
    for text in expected.body_contains:
        if text.encode() not in body:
            run.fail("mismatch", f"the body does not hold {text[:_SHOWN]!r}")
    for text in expected.body_not_contains:
        if text.encode() in body:
            run.fail("mismatch", f"the body holds {text[:_SHOWN]!r}")
    for pattern in expected.body_matches:
        if not pattern.found_in(body):
            run.fail("mismatch", f"the body does not hold the pattern {pattern}")
    for pattern in expected.body_not_matches:
        if pattern.found_in(body):
            run.fail("mismatch", f"the body holds the pattern {pattern}")


def expect_json(body: bytes, expected: tuple[JsonExpectation, ...], run: Run) -> None:
    """Fail with ``protocol_error`` where the body is no JSON, and with ``mismatch`` at the first value."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        run.fail("protocol_error", f"the body is not JSON: {type(error).__name__}")
    for expectation in expected:
        try:
            found = find(expectation.path, document)
        except RecursionError:
            run.fail("protocol_error", "the JSON is nested too deeply")
        if expectation.record is not None and found and isinstance(found[0], bool | int | float):
            run.values[f"json_value:{expectation.record}"] = float(found[0])
        if not found:
            run.fail("mismatch", f"nothing at {expectation.path}")
        for value in found:
            if difference := _difference(value, expectation):
                run.fail("mismatch", f"{expectation.path} is {_shown(value)}, {difference}")


def _difference(value: Any, expectation: JsonExpectation) -> str:
    """Why the value does not compare; empty where it does."""
    given = expectation.model_fields_set
    if "equals" in given and not _same(value, expectation.equals):
        return f"not {_shown(expectation.equals)}"
    if "not_equals" in given and _same(value, expectation.not_equals):
        return "which it must not be"
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if expectation.at_least is not None and (number is None or not number >= expectation.at_least):
        return f"not at least {expectation.at_least:g}"
    if expectation.at_most is not None and (number is None or not number <= expectation.at_most):
        return f"not at most {expectation.at_most:g}"
    if expectation.matches is not None and not (isinstance(value, str) and expectation.matches.found_in(value)):
        return f"not {expectation.matches}"
    return ""


def _same(left: Any, right: Any) -> bool:
    # In JSON true is not 1, although in Python it is.
    return isinstance(left, bool) == isinstance(right, bool) and not isinstance(left, Mapping | list) and left == right


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:_SHOWN]
