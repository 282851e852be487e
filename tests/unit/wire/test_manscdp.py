"""MANSCDP bodies: any encoding that devices use, whatever they declare; bombs are refused before they go off."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.wire.manscdp import MAX_TEXT, MalformedBody, compose, parse, peek

NAME = "六里桥办公区（北门）㑇"  # the last is in GB18030, and not in GB2312


def catalog(name: str = NAME, declared: str = "GB2312") -> str:
    return (
        f'<?xml version="1.0" encoding="{declared}"?>\r\n<Response>\r\n<CmdType>Catalog</CmdType>\r\n<SN>17430</SN>\r\n'
        "<DeviceID>11010000002000000001</DeviceID><SumNum>2</SumNum><DeviceList Num='2'>"
        f"<Item><DeviceID>11010000001320000001</DeviceID><Name>{name}</Name><Status>ON</Status>"
        "<Info><PTZType>1</PTZType></Info></Item>"
        "<Item><DeviceID>11010000001320000002</DeviceID><Name>2</Name><Status>OFF</Status></Item>"
        "</DeviceList></Response>\r\n"
    )


@pytest.mark.parametrize("declared", ["GB2312", "gb18030", "GBK", "UTF-8", "utf-8", "ISO-8859-1", "nonsense"])
@pytest.mark.parametrize("sent", ["gb18030", "utf-8", "utf-8-sig"])
def test_names_are_read_whatever_is_declared(declared: str, sent: str) -> None:
    body = parse(catalog(declared=declared).encode(sent))
    assert (body.kind, body.command, body.number, body.device) == ("Response", "Catalog", 17430, "11010000002000000001")
    assert body.integer("SumNum") == 2
    assert [item["Name"] for item in body.items] == [NAME, "2"]
    assert body.items[0]["PTZType"] == "1"


def test_two_letters_that_are_also_utf8_are_chinese_where_that_is_declared() -> None:
    assert "路".encode("gb18030").decode() == "\u00b7"
    assert parse(catalog("路").encode("gb18030")).items[0]["Name"] == "路"
    assert parse(catalog("\u00b7", "UTF-8").encode()).items[0]["Name"] == "\u00b7"
    assert parse(catalog("café", "GB2312").encode("gb18030")).items[0]["Name"] == "café"


@pytest.mark.parametrize(
    "body",
    [
        "\r\n \r\n" + catalog(),
        catalog().partition("?>")[2],
        catalog() + "\0\0\0",
        catalog("A&B <".replace("<", "&lt;") + NAME),
        catalog("\x01" + NAME),
    ],
    ids=["blank lines", "no declaration", "trailing NULs", "a bare ampersand", "a control character"],
)
def test_sloppy_bodies_are_read(body: str) -> None:
    assert NAME in parse(body.encode("gb18030")).items[0]["Name"]


BOMB = "<!DOCTYPE Response [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;'>]><Response><SN>&b;</SN></Response>"


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        '<?xml version="1.0"?>' + BOMB,
        '<!DOCTYPE r SYSTEM "file:///etc/passwd"><Response><CmdType>Catalog</CmdType></Response>',
        "<!DOCTYPE r><Response/>",
        "<a>" * 50_000,
        "<Response>" + "<a></a>" * 50_000 + "</Response>",
        "<Response><CmdType>Catalog",
        "not XML",
        "",
        "<a/><b/>",
        "\0" * 10,
    ],
)
def test_bombs_and_no_xml_are_refused_at_once(body: str) -> None:
    started = time.monotonic()
    with pytest.raises(MalformedBody):
        parse(body.encode())
    assert time.monotonic() - started < 1


def test_an_entity_is_text_and_no_entity() -> None:
    assert parse(b"<Response><Name>&xxe; &#22235; &amp;</Name></Response>").fields["Name"] == "&xxe; 四 &"


def test_values_are_cut_and_numbers_are_bounded() -> None:
    body = parse(
        f"<Response><SN>{'9' * 30}</SN><SumNum>{'9' * 30}</SumNum><Name>{'x' * 9_999}</Name></Response>".encode()
    )
    assert body.number is None
    assert body.integer("SumNum") is None
    assert len(body.fields["Name"]) == MAX_TEXT


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    peek(data)
    for body in (data, b"<Response>" + data, b"<Response>" + data + b"</Response>"):
        try:
            parse(body)
        except MalformedBody:
            continue


@pytest.mark.parametrize("encoding", ["GB2312", "UTF-8"])
@given(
    name=st.text(st.characters(codec="gb18030", exclude_categories=["Cc", "Cs"]), max_size=30),
    number=st.integers(0, 9_999_999_999),
)
def test_what_is_written_is_read(encoding: str, name: str, number: int) -> None:
    raw = compose("Response", "Catalog", number, "1", {"SumNum": 1}, items=[{"Name": f"字{name}字"}], encoding=encoding)
    assert peek(raw) == ("Catalog", number)
    body = parse(raw)
    assert (body.command, body.number, body.integer("SumNum")) == ("Catalog", number, 1)
    assert body.items[0]["Name"] == f"字{name}字".replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
