"""SOAP messages and the token of WS-Security."""

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest

from sentinel.wire.soap import MAX_TEXT, Element, Fault, MalformedMessage, compose, content_type, envelope, parse
from sentinel.wire.ws_security import password_digest, username_token

BEIJING = timezone(timedelta(hours=8))
TWO_CODES = (
    "<Fault><Code><Value>s:Sender</Value><Subcode><Value>t:A</Value><Subcode><Value>t:B</Value></Subcode></Subcode>"
    "</Code><Reason><Text>no such</Text></Reason></Fault>"
)


def test_a_message_is_read_by_local_names() -> None:
    found = parse(
        b'\xef\xbb\xbf<?xml version="1.0"?><e:Envelope><e:Header/><e:Body><x:A t:token="p1"><y:B> 1 </y:B><B>2</B>'
        b"</x:A></e:Body></e:Envelope>\r\n\0"
    )
    assert isinstance(found, Element)
    assert (found.name, found.attributes) == ("A", {"token": "p1"})
    assert [each.text for each in found.all("B")] == ["1", "2"]
    assert (found.text_of("B"), found.text_of("C", "D"), found.find("C")) == ("1", "", None)


def test_what_is_composed_is_read_again() -> None:
    message = compose('<A xmlns="urn:a">x</A>', "<H/>")
    assert parse(message) == Element("A", {"xmlns": "urn:a"}, "x")
    assert envelope(message).find("Header", "H") is not None
    assert envelope(compose("<A/>")).find("Header") is None
    assert parse(compose("")) == Element("")
    assert content_type("urn:a/B") == 'application/soap+xml; charset=utf-8; action="urn:a/B"'


def test_bare_ampersands_gb18030_and_control_characters_do_no_harm() -> None:
    text = (
        '<?xml version="1.0" encoding="GBK"?><Envelope><Body><U>rtsp://h/a?b=1&c=海康\x01&amp;d</U></Body></Envelope>'
    )
    found = parse(text.encode("gb18030"))
    assert isinstance(found, Element)
    assert found.text == "rtsp://h/a?b=1&c=海康\ufffd&d"


def test_a_long_text_is_cut() -> None:
    found = parse(b"<Envelope><Body><A a='" + b"y" * 9000 + b"'>" + b"x" * 9000 + b"</A></Body></Envelope>")
    assert isinstance(found, Element)
    assert (len(found.text), len(found.attributes["a"])) == (MAX_TEXT, MAX_TEXT)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (
            TWO_CODES,
            Fault(("Sender", "A", "B"), "no such"),
        ),
        ("<Fault><faultcode>s:Server</faultcode><faultstring>x</faultstring></Fault>", Fault(("Server",), "x")),
        ("<Fault/>", Fault((), "")),
    ],
    ids=["1.2", "1.1", "empty"],
)
def test_faults(inside: str, expected: Fault) -> None:
    assert parse(compose(inside)) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"<html/>",
        b"<Envelope/>",
        b"<Envelope><Body><A></Body></Envelope>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><Envelope><Body>&b;</Body></Envelope>',
        b"<!DOCTYPE Envelope SYSTEM 'http://x/'><Envelope><Body/></Envelope>",
        b"<Envelope><Body>" + b"<a>" * 40 + b"</a>" * 40 + b"</Body></Envelope>",
        b"<Envelope><Body>" + b"<a/>" * 20_001 + b"</Body></Envelope>",
    ],
    ids=["nothing", "text", "html", "no-body", "cut", "entity", "doctype", "deep", "many"],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse(body)


def test_the_digest_is_that_of_onvifs_own_example() -> None:
    # ONVIF Application Programmer's Guide 1.0
    nonce = base64.b64decode("LKqI6G/AikKCQrN0zqZFlg==")
    assert password_digest(nonce, "2010-09-16T07:50:45Z", "userpassword") == "tuOSpGlFlIXsozq4HFNeeGeFLEI="


def test_a_token_has_no_password_and_never_the_same_nonce() -> None:
    at = datetime(2026, 11, 22, 8, 0, 0, 250_000, tzinfo=BEIJING)
    one, other = (username_token("a<b", "secret-7", at) for _ in range(2))
    assert one != other
    assert "secret-7" not in one
    assert "<w:Username>a&lt;b</w:Username>" in one
    fixed = username_token("a", "secret-7", at, b"n" * 16)
    assert password_digest(b"n" * 16, "2026-11-22T00:00:00.250Z", "secret-7") in fixed
    assert fixed == username_token("a", "secret-7", at.astimezone(UTC), b"n" * 16)
