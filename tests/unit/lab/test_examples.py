from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.catalog import discover
from sentinel.lab.examples import NoExample, document_for, text_for
from sentinel.sdk.patterns import Pattern


@pytest.mark.parametrize(
    "source",
    [
        r"^SSH-(2\.0|1\.99)-",
        r"^RFB 003\.[0-9]{3}",
        r"^(\+PONG|-NOAUTH)",
        r"(?i)hello\s+\w+[^a-z]x*?$",
        r"^220 .*ESMTP",
        r"\bversion: \d+(\.\d+){2}\b",
        r"[^\d\s]-\D\S\W",
        r"系统正常|在线",
        r"^$",
        r"end\z",
        r"[^a1]",
        r"(?P<name>ab)+c?",
        r"\x41",
        r".",
    ],
)
def test_a_text_is_found_by_its_pattern(source: str) -> None:
    pattern = Pattern(source)
    assert pattern.found_in(text_for(pattern))


@pytest.mark.parametrize("source", [r"\pL+", r"[^\x00-\x{10FFFF}]", r"a\bb", r"(?:a{1000}){1000}"])
def test_what_is_not_understood_is_said(source: str) -> None:
    try:
        pattern = Pattern(source)
    except ValueError:
        pytest.skip("RE2 does not take it either")
    with pytest.raises(NoExample):
        text_for(pattern)


@given(st.from_regex(r"\A[a-z]{1,5}(\[[a-f0-9]{1,3}\])?[+*?]?\Z"))
def test_simple_patterns_always_work(source: str) -> None:
    pattern = Pattern(source)
    assert pattern.found_in(text_for(pattern))


def expectations(*given_: dict[str, Any]) -> tuple[Any, ...]:
    http = discover().protocols["http"].options
    return http.model_validate({"expect_json": list(given_)}).expect_json  # type: ignore[attr-defined,no-any-return]  # HTTP's model


def test_a_document_has_what_paths_look_for() -> None:
    document = document_for(
        expectations(
            {"path": "$.status", "equals": "UP"},
            {"path": "$.nodes[1].load", "at_most": 5},
            {"path": "$.nodes[0].name", "matches": "^n[0-9]"},
            {"path": "$['free space']", "at_least": 10.5},
            {"path": "$.state", "not_equals": "UP"},
            {"path": "$.nothing", "equals": None},
        )
    )
    assert document == {
        "status": "UP",
        "nodes": [{"name": "n0"}, {"load": 5}],
        "free space": 10.5,
        "state": "OK",
        "nothing": None,
    }


@pytest.mark.parametrize("path", ["$..status", "$.nodes[*].up", "$.nodes[?@.up].name", "$.a[-1]"])
def test_paths_that_leave_open_where(path: str) -> None:
    with pytest.raises(NoExample):
        document_for(expectations({"path": path, "equals": 1}))


def test_paths_that_contradict_each_other() -> None:
    with pytest.raises(NoExample):
        document_for(expectations({"path": "$.a[0]", "equals": 1}, {"path": "$.a.b", "equals": 1}))
