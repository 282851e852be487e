"""Operators' patterns: RE2's syntax, RE2's time, and nothing else accepted."""

import time
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from sentinel.sdk.patterns import MAX_PATTERN, Pattern


class Model(BaseModel):
    pattern: Pattern | None = None


def test_is_found_anywhere_in_text_and_in_bytes() -> None:
    pattern = Pattern(r"应急.指挥")
    assert pattern.found_in("市应急局指挥中心".replace("局", "-"))
    assert pattern.found_in("市应急-指挥".encode())
    assert not pattern.found_in("应急指挥")
    assert not pattern.found_in(b"\xff\xfe\x00")


def test_whole_wants_the_text_from_end_to_end() -> None:
    assert Pattern("a|ab").whole("ab")
    assert not Pattern("a").whole("ab")


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [("v([0-9.]+)", "nginx v1.22.1", "1.22.1"), ("v[0-9]", "v1", "v1"), ("(a)?b", "b", ""), ("x", "y", None)],
)
def test_find_gives_the_first_group_or_all(source: str, text: str, found: str | None) -> None:
    assert Pattern(source).find(text) == found


def test_flags_are_the_patterns_own() -> None:
    assert Pattern("(?i)error").found_in("ERROR")
    assert not Pattern("error").found_in("ERROR")


@pytest.mark.parametrize("source", ["(a", r"(?=x)", r"(a)\1", "*", "a{2000}", "x" * (MAX_PATTERN + 1)])
def test_what_is_no_pattern_of_re2_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"RE2|characters"):
        Pattern(source)
    with pytest.raises(ValidationError):
        Model.model_validate({"pattern": source})


def test_the_pattern_that_held_python_for_seconds_takes_none() -> None:
    pattern = Pattern("(a+)+$")
    started = time.monotonic()
    assert not pattern.found_in("a" * 100_000 + "!")
    assert time.monotonic() - started < 5


def test_a_field_is_a_string_from_outside_and_back() -> None:
    model = Model.model_validate({"pattern": "^ok"})
    assert model.pattern == Pattern("^ok")
    assert model.model_dump(mode="json") == {"pattern": "^ok"}
    assert Model.model_validate_json(model.model_dump_json()) == model
    assert Model(pattern=Pattern("^ok")) == model
    assert len({Pattern("x"), Pattern("x"), Pattern("y")}) == 2
    assert (str(Pattern("x")), repr(Pattern("x"))) == ("x", "Pattern('x')")


def test_the_schema_says_string() -> None:
    schema: dict[str, Any] = Model.model_json_schema()
    assert {"type": "string", "maxLength": MAX_PATTERN, "title": "RE2 pattern"} in schema["properties"]["pattern"][
        "anyOf"
    ]


@pytest.mark.parametrize("value", [1, ["a"], b"a"])
def test_a_field_is_nothing_but_a_string(value: object) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate({"pattern": value})
