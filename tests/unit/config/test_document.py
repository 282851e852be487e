"""YAML: what is accepted has its place, what is not is refused quickly."""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from sentinel.config.document import MAX_BYTES, MAX_DEPTH, Node, Unreadable, parse, read
from sentinel.config.problems import Position


def test_every_node_knows_where_it_stands() -> None:
    tree = parse("a:\n  - b: 一\n    c: [1, {d: x}]\n".encode(), "f.yaml")
    assert str(tree.at("a", 0, "b").position) == "f.yaml:2:8"
    assert str(tree.at("a", 0, "c", 1, "d").position) == "f.yaml:3:16"
    assert str(tree.key("a", 0, "c")) == "f.yaml:3:5"
    assert str(tree.key("a", 0, "nothing")) == "f.yaml:2:5"
    assert tree.at("a", 7, "z") is tree.at("a")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'true'", "true"),
        ("0123", 123),
        ("-7", -7),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("12:30:45", "12:30:45"),
        ("2026-11-22", "2026-11-22"),
        ("5%", "5%"),
        ("198.18.0.1", "198.18.0.1"),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    found = parse(f"a: {text}\n".encode(), "f").plain()["a"]
    assert found == value
    assert type(found) is type(value)


REFUSED = {
    "alias bomb": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"b%d: &b%d [*a,*a,*a,*a,*a,*a,*a]\n" % (i, i) for i in range(9)),
        "anchors",
    ),
    "nested lists": (b"[" * 10_000, "nested"),
    "nested mappings": (b"{a: " * 10_000, "nested"),
    "nested blocks": (b"- " * 10_000 + b"a", "nested"),
    "same key twice": (b"a: 1\nb: 2\na: 3\n", "line 1"),
    "same key, other spelling": (b"1: a\n'1': b\n", "twice"),
    "tag": (b"a: !!python/object/apply:os.system [id]\n", "tags"),
    "NaN": (b"a: .NaN\n", r"\.nan"),
    "infinity": (b"a: -.inf\n", r"\.inf"),
    "too large a number": (b"a: 1e999\n", "too large"),
    "NUL": (b"a: b\x00c\n", r"U\+0000"),
    "escaped NUL": (b'a: "b\\0c"\n', r"U\+0000"),
    "escape character": (b"a: \x1b[31m\n", r"U\+001B"),
    "surrogate": (b'a: "\\ud800"\n', r"U\+D800"),
    "not UTF-8": (b"a: 1\nb: \xff\n", "UTF-8"),
    "UTF-16": ("a: 1".encode("utf-16"), "UTF-8"),
    "two documents": (b"a: 1\n---\nb: 1\n", "second document"),
    "directive": (b"%YAML 1.1\n---\na: 1\n", "directives"),
    "key that is a list": (b"? [a]\n: b\n", "key must be text"),
    "key that is nothing": (b"~: b\n", "key must be text"),
    "open bracket": (b"a: [1\n", "not YAML"),
    "tab": (b"a:\n\tb: 1\n", "not YAML"),
    "merge key": (b"a: &x {b: 1}\nc:\n  <<: *x\n", "anchors"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_surprise_is_refused_quickly(name: str) -> None:
    data, message = REFUSED[name]
    started = time.process_time()
    with pytest.raises(Unreadable, match=message):
        parse(data, "f.yaml")
    assert time.process_time() - started < 2.0


def test_the_place_of_a_byte_that_is_no_utf8() -> None:
    with pytest.raises(Unreadable) as refused:
        parse(b"a: 1\nb: \xff\n", "f.yaml")
    assert str(refused.value.position) == "f.yaml:2:4"


def test_depth_up_to_the_limit_is_accepted() -> None:
    for opening, closing in ((b"[", b"]"), (b"{a: ", b"}"), (b"- ", b"")):
        parse(opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH, "f")
        with pytest.raises(Unreadable, match="is nested more than 40 deep") as refused:
            parse(opening * (MAX_DEPTH + 1) + b"1" + closing * (MAX_DEPTH + 1), "f")
        assert refused.value.position.column == MAX_DEPTH * len(opening) + 1


_HUNGRY = """
import resource, sys, time
from pathlib import Path
from sentinel.config.document import Unreadable, read
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.process_time()
try:
    read(Path(sys.argv[1]))
except Unreadable as error:
    print(error)
print(time.process_time() - started, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_a_hundred_megabytes_are_refused_by_their_size(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.write(b"a: 1\n")
        os.ftruncate(file.fileno(), 100 * 1024 * 1024)
    done = subprocess.run([sys.executable, "-c", _HUNGRY, str(path)], capture_output=True, text=True, check=True)
    message, figures = done.stdout.splitlines()
    seconds, megabytes = map(float, figures.split())
    assert message.endswith("huge.yaml:1:1: is larger than 4 MiB")
    assert seconds < 2
    assert megabytes < 100


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentinel.config.document.MAX_NODES", 100)
    with pytest.raises(Unreadable, match="more than 100 entries"):
        parse(b"[" + b"a," * 101 + b"]", "f")


def test_memory_stays_bounded_for_the_largest_file_that_is_read() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Unreadable, match="nested"):
        parse(b"x" * 1000 + b": " + b"[" * (MAX_BYTES - 2000), "f")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 100


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="cannot be read"):
        read(tmp_path)


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert parse(b"", "f").plain() == {}
    assert parse(b"\xef\xbb\xbf# nothing\n", "f").plain() == {}


_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x9FFF, exclude_characters="\x7f"), max_size=20).filter(
    lambda text: all(not 0x7F <= ord(each) <= 0x9F and ord(each) not in (0x2028, 0x2029) for each in text)
)
_NUMBERS = st.integers(-(10**17), 10**17) | st.floats(-1e12, 1e12).map(lambda number: round(number, 6))
_TREES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(_TREES)
def test_json_is_read_as_json(tree: Any) -> None:
    text = json.dumps(tree, ensure_ascii=False)
    found = parse(f"a: {text}\n".encode(), "f").plain()["a"]
    assert json.dumps(found) == json.dumps(tree)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab:-[]{},&*!|>'\"%@ \n#?~.1"), max_size=40))
def test_whatever_is_typed_gives_a_tree_or_a_place(text: str) -> None:
    tree, position = _tree(text)
    assert position.line >= 1
    assert position.column >= 1
    if tree is None:
        return
    for scalar in tree.scalars():
        assert not (isinstance(scalar.value, float) and not math.isfinite(scalar.value))
    list(YAML(typ="safe", pure=True).parse(text))  # ruamel accepts it as well


def _tree(text: str) -> tuple[Node | None, Position]:
    try:
        tree = parse(text.encode(), "f")
    except Unreadable as error:
        return None, error.position
    return tree, tree.position
