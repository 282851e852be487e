"""SIP messages: torture of RFC 4475's kind, streams in any pieces, answers that repeat what they must."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.wire.sip import (
    MAX_HEAD,
    MAX_HEADERS,
    Dialog,
    Request,
    Response,
    StreamParser,
    build,
    new_branch,
    new_call_id,
    new_tag,
    parse_datagram,
    reply_address,
    respond,
)
from sentinel.wire.sip_headers import Address, MalformedMessage, Uri, Via, split
from tests.support.dissect import dissect

# RFC 4475, 3.1.1.1: a short tortuous INVITE, shortened to what OPTIONS may have.
TORTUOUS = (
    b"OPTIONS sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    b"TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
    b'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    b"MaX-fOrWaRdS: 0068\r\n"
    b"Call-ID: wsinv.ndaksdj@192.0.2.1\r\n"
    b"CSeq: 0009\r\n  OPTIONS\r\n"
    b"Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n"
    b"s :\r\n"
    b"NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
    b" SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    b'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n    newvalue ;\r\n  secondparam ; q = 0.33\r\n'
    b"l: 0\r\n\r\n"
)


def options(body: bytes = b"") -> Request:
    dialog = Dialog("<sip:a@192.0.2.1>;tag=1", "<sip:192.0.2.7>", "call-1")
    via = Via("UDP", "192.0.2.1", 5060, {"rport": None, "branch": "z9hG4bK1"})
    return build("OPTIONS", "sip:192.0.2.7", dialog, via=via, number=7, body=body)


def test_a_tortuous_request_is_read() -> None:
    message = parse_datagram(TORTUOUS)
    assert isinstance(message, Request)
    assert message.uri == "sip:vivekg@chair-dnrc.example.com;unknownparam"
    assert message.recipient.tag == "1918181833n"
    assert message.recipient.uri.user == "vivekg"
    assert message.sender.tag == "98asjd8"
    assert message.sender.name == 'J Rosenberg \\"'
    assert message.cseq == (9, "OPTIONS")
    assert [(via.transport, via.host) for via in message.vias] == [
        ("UDP", "192.0.2.2"),
        ("TCP", "spindle.example.com"),
        ("UDP", "192.168.255.111"),
    ]
    assert message.vias[1].branch == "z9hG4bK9ikj8"
    contact = Address.parse(message.header("contact") or "")
    assert contact.parameters == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    assert message.header("subject") == ""


def test_what_is_written_is_read_again() -> None:
    request = options("中文".encode("gb18030"))
    again = parse_datagram(request.encode())
    assert isinstance(again, Request)
    assert again.body.decode("gb18030") == "中文"
    assert (again.method, again.uri, again.cseq, again.call_id) == (
        "OPTIONS",
        "sip:192.0.2.7",
        (7, "OPTIONS"),
        "call-1",
    )
    assert again.header("content-length") == "4"
    assert again.vias == request.vias
    assert b"\r\nCSeq: 7 OPTIONS\r\n" in request.encode()
    assert b"\r\nCall-ID: call-1\r\n" in request.encode()


def test_tshark_reads_what_we_write(tmp_path: Path) -> None:
    request, answer = options(b"v=0\r\n"), respond(options(), 404, tag="t", source=("192.0.2.1", 6000))
    found = dissect(tmp_path, [(request.encode(), 6000, 5060), (answer.encode(), 5060, 6000)], "sip")
    assert "_ws.expert" not in str(found)  # its complaints
    asked, said = (layer["sip.msg_hdr_tree"] for layer in found)
    assert found[0]["sip.Request-Line_tree"]["sip.Method"] == "OPTIONS"
    assert found[1]["sip.Status-Line_tree"]["sip.Status-Code"] == "404"
    for fields in (asked, said):
        assert fields["sip.Via_tree"]["sip.Via.branch"] == "z9hG4bK1"
        assert fields["sip.CSeq_tree"]["sip.CSeq.seq"] == "7"
        assert fields["sip.Call-ID"] == "call-1"
    assert said["sip.Via_tree"]["sip.Via.rport"] == "6000"
    assert said["sip.To_tree"]["sip.to.tag"] == "t"


def test_an_answer_repeats_what_it_must_and_tells_where_the_request_came_from() -> None:
    request = parse_datagram(TORTUOUS)
    assert isinstance(request, Request)
    answer = parse_datagram(respond(request, 200, tag="t", source=("198.51.100.1", 9)).encode())
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason) == (200, "OK")
    assert [via.host for via in answer.vias] == [via.host for via in request.vias]
    assert answer.vias[0].parameters["received"] == "198.51.100.1"
    assert "rport" not in answer.vias[0].parameters
    assert answer.recipient.tag == "1918181833n"  # it had one
    assert (answer.call_id, answer.cseq) == (request.call_id, request.cseq)


def test_rport_is_filled_in_and_answered_to() -> None:
    answer = respond(options(), 404, tag="t", source=("192.0.2.1", 6000))
    assert answer.vias[0].parameters == {"rport": "6000", "received": "192.0.2.1", "branch": "z9hG4bK1"}
    assert answer.recipient.tag == "t"
    assert reply_address(options(), ("192.0.2.1", 6000)) == ("192.0.2.1", 6000)
    plain = parse_datagram(options().encode().replace(b"rport;", b""))
    assert isinstance(plain, Request)
    assert reply_address(plain, ("198.51.100.1", 6000)) == ("198.51.100.1", 5060)


def test_100_has_no_tag() -> None:
    assert respond(options(), 100, tag="t").recipient.tag == ""


@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_a_stream_in_any_pieces(piece: int) -> None:
    data = b"\r\n\r\n" + options(b"body").encode() + b"\r\n" + respond(options(), 200, tag="t").encode()
    parser, found = StreamParser(), []
    for at in range(0, len(data), piece):
        parser.feed(data[at : at + piece])
        while (message := parser.next()) is not None:
            found.append(message)
    assert [type(message) for message in found] == [Request, Response]
    assert [message.body for message in found] == [b"body", b""]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"SIP/2.0 200 OK\r\nContent-Length: 4294967295\r\n\r\n", "too_large"),
        (b"SIP/2.0 200 OK\r\nContent-Length: 70000\r\n\r\n", "too_large"),
        (b"SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n", "protocol_error"),
        (b"SIP/2.0 200 OK\r\nX: " + b"a" * MAX_HEAD, "too_large"),
        (b"SIP/2.0 200 OK\r\n" + b"X: a\r\n" * (MAX_HEADERS + 1) + b"\r\n", "too_large"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "protocol_error"),
        (b"SIP/2.0 999 OK\r\n\r\n", "protocol_error"),
        (b"SIP/2.0 200 OK\r\nno colon\r\n\r\n", "protocol_error"),
        (b"SIP/2.0 200 OK\r\nX: a\0b\r\n\r\n", "protocol_error"),
        (b"\xff\x00garbage", "protocol_error"),
        (b"a" * 40, "protocol_error"),
    ],
)
def test_a_stream_that_is_no_sip_is_refused(data: bytes, code: str) -> None:
    parser = StreamParser()
    parser.feed(data + b"x" * 40)
    with pytest.raises(MalformedMessage) as refused:
        parser.next()
    assert refused.value.code == code


@given(st.binary(max_size=600) | st.binary(max_size=200).map(lambda tail: TORTUOUS[:-4] + tail))
def test_any_bytes_are_a_message_that_can_be_answered_or_refused(data: bytes) -> None:
    try:
        message = parse_datagram(data)
    except MalformedMessage:
        return
    if isinstance(message, Request):
        try:
            respond(message, 200, tag="t", source=("192.0.2.1", 5060)).encode()
        except MalformedMessage:
            return


@given(st.text(max_size=200))
def test_any_text_is_a_value_or_refused(text: str) -> None:
    for read in (Via.parse, Uri.parse, Address.parse, lambda value: split(value, ",")):
        try:
            read(text)
        except MalformedMessage:
            continue


def test_a_datagram_shorter_than_it_says_is_refused_and_a_longer_one_is_cut() -> None:
    data = options(b"12345").encode()
    assert parse_datagram(data + b"more").body == b"12345"
    with pytest.raises(MalformedMessage):
        parse_datagram(data[:-1])


def test_no_line_can_be_smuggled_in() -> None:
    dialog = Dialog("<sip:a>", "<sip:b>", "c\r\nEvil: 1")
    with pytest.raises(ValueError, match="control character"):
        build("OPTIONS", "sip:b", dialog, via=Via("UDP", "192.0.2.1"), number=1).encode()
    with pytest.raises(ValueError, match="no method"):
        build("OPTIONS sip:x SIP/2.0\r\n", "sip:b", dialog, via=Via("UDP", "192.0.2.1"), number=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:34020000001320000001@3402000000", ("34020000001320000001", "3402000000", None)),
        ("sip:8001:secret@[2001:db8::1]:5070;transport=tcp?x=y", ("8001", "2001:db8::1", 5070)),
        ("SIPS:host.example", ("", "host.example", None)),
    ],
)
def test_uris(text: str, expected: tuple[str, str, int | None]) -> None:
    uri = Uri.parse(text)
    assert (uri.user, uri.host, uri.port) == expected
    assert "secret" not in str(uri)


@pytest.mark.parametrize("text", ["tel:+86", "sip:", "sip:a@b:99999", "sip:a@b c"])
def test_no_uris(text: str) -> None:
    with pytest.raises(MalformedMessage):
        Uri.parse(text)


def test_a_list_without_end_is_refused() -> None:
    with pytest.raises(MalformedMessage) as refused:
        split("a," * 100, ",")
    assert refused.value.code == "too_large"


def test_names_are_new_each_time() -> None:
    assert len({new_branch() for _ in range(100)}) == 100
    assert new_branch().startswith("z9hG4bK")
    assert new_tag() != new_tag()
    assert new_call_id() != new_call_id()
