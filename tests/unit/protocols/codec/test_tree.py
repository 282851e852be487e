"""xStatus, XML and JSON become one tree; paths find places in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.protocols.codec.paths import MAX_FOUND, find, steps, texts
from sentinel.protocols.codec.tree import MAX_NODES, MAX_TEXT, Malformed, Node, Status, from_json, from_xml

LINES = [
    "*s SIP Registration 1 Status: Registered",
    '*s Call 27 DisplayName: "A: B"',
    "*s Call 27 Status: Connected",
    "*s Call 28 Status: OnHold",
    '*s Call 28 DisplayName: ""',
    "*s Call 27 Encryption Type: Aes-128",
]
XML = b"""<?xml version="1.0" encoding="ISO-8859-1"?><Status><SIP><Registration item="1"><Status>Registered</Status>
</Registration></SIP><Call item="27"><DisplayName>A: B</DisplayName><Status>Connected</Status>
<Encryption><Type>Aes-128</Type></Encryption></Call><Call item="28"><Status>OnHold</Status><DisplayName/></Call>
</Status>"""


def status(lines: list[str]) -> Node:
    tree = Status()
    assert all(tree.add(line) for line in lines)
    return tree.root


@pytest.mark.parametrize("root", [status(LINES), from_xml(XML).children[0]], ids=["lines", "xml"])
def test_lines_and_xml_are_the_same_tree(root: Node) -> None:
    assert [(f.text, f.keys) for f in find(root, "Call[*]/Status")] == [("Connected", ("27",)), ("OnHold", ("28",))]
    assert [f.text for f in find(root, "Call[28]/Status")] == ["OnHold"]
    assert [f.text for f in find(root, "Call/DisplayName")] == ["A: B", ""]
    assert [f.text for f in find(root, "Call[*]/Encryption/Type")] == ["Aes-128"]
    item = find(root, "Call[*]/Encryption/Type")[0].item
    assert item.name == "Call"
    assert list(texts(item, "DisplayName")) == ["A: B"]
    assert list(texts(item, ".")) == ["Call"]
    assert list(texts(item, "../SIP/Registration/Status")) == ["Registered"]
    assert list(texts(item, "../../../../..")) == []
    assert find(root, "Nothing/There") == []


@pytest.mark.parametrize(
    "line", ["", "OK", "** end", "*r Login successful", "xStatus Call", "s Call 1 Status: x", "*s"]
)
def test_what_is_no_line_of_a_status_is_left_out(line: str) -> None:
    assert not Status().add(line)


def test_json_is_a_tree_too() -> None:
    root = from_json(
        b'{"meta": {"total": 2}, "objects": [{"id": 7, "on": true, "no": null}, {"id": "x"}], "n": [1, [2]]}'
    )
    assert [f.text for f in find(root, "meta/total")] == ["2"]
    assert [(f.text, f.keys) for f in find(root, "objects[*]/id")] == [("7", ("1",)), ("x", ("2",))]
    assert [f.text for f in find(root, "objects[1]/on")] == ["true"]
    assert [f.text for f in find(root, "objects[1]/no")] == [""]
    assert [f.text for f in find(from_json(b'[{"id": 1}, {"id": 2}]'), "item[*]/id")] == ["1", "2"]
    assert [f.text for f in find(from_json(b"3"), "item")] == ["3"]


def test_attributes_and_any_name() -> None:
    root = from_xml(b'<a total="3"><b id="k"><x role="main"><n>1</n></x><y><n>2</n></y></b></a>')
    assert [f.text for f in find(root, "a/@total")] == ["3"]
    assert [f.text for f in find(root, "a/b[*]/@id")] == ["k"]
    found = find(root, "a/b[*]/*[*]/n")
    assert [(f.text, f.item.name, f.keys) for f in found] == [("1", "x", ("k", "1")), ("2", "y", ("k", "1"))]
    assert list(texts(found[0].item, "@role")) == ["main"]
    assert list(texts(found[1].item, "@role")) == []


def test_bounds() -> None:
    tree = Status()
    for number in range(MAX_NODES // 2):
        tree.add(f"*s Call {number} Status: x")
    with pytest.raises(Malformed):
        tree.add("*s Call 0 One: x")
    assert len(find(tree.root, "Call[*]/Status")) == MAX_FOUND + 1
    assert len(find(from_xml(b"<a>" + b"x" * 9_999 + b"</a>"), "a")[0].text) == MAX_TEXT
    for body in (b"<a>" * 30 + b"</a>" * 30, b"<a/><b/>", b"", b"\xff\xfe", b"<!DOCTYPE a><a/>", b"{}"):
        with pytest.raises(Malformed):
            from_xml(body)


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_tree_or_malformed(body: bytes) -> None:
    for read in (from_xml, from_json):
        try:
            root = read(body)
        except Malformed:
            continue
        assert isinstance(root, Node)
    Status().add(body.decode("latin-1"))


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a[", "a[]", "@", "@x/y", "1a", "a b", "..", "a/../b"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="no step"):
        steps(path)
