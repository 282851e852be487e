"""RAS messages against two independent codecs: pycrate's of the recommendation's ASN.1, and tshark's dissector."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrate_asn1dir import H225  # type: ignore[import-untyped]  # it ships without types

from sentinel.wire.h225 import (
    REASONS,
    GatekeeperConfirm,
    GatekeeperReject,
    GatekeeperRequest,
    RequestInProgress,
    UnknownMessage,
    parse_answer,
    parse_request,
)
from sentinel.wire.h225_per import MalformedPer, Reader, Writer
from tests.support.dissect import dissect

VERSION = (0, 0, 8, 2250, 0, 4)
MAKER = {"t35CountryCode": 38, "t35Extension": 255, "manufacturerCode": 65_535}
REQUESTS: list[GatekeeperRequest] = [
    GatekeeperRequest(1, ("127.0.0.1", 1)),
    GatekeeperRequest(65_535, ("192.0.2.1", 65_535), "GK"),
    GatekeeperRequest(7, ("2001:db8::1", 40_000), "应急指挥中心网守"),
    GatekeeperRequest(8, ("127.0.0.1", 40_000), "G" * 128),
]
ANSWERS: list[GatekeeperConfirm | GatekeeperReject] = [
    GatekeeperConfirm(9, "GK", ("127.0.0.1", 1719)),
    GatekeeperConfirm(65_535, None, ("2001:db8::1", 1719)),
    *(GatekeeperReject(9, name, reason) for name in ("网守", None) for reason in REASONS),
]


def by_pycrate(kind: str, fields: dict[str, Any]) -> bytes:
    message = H225.H323_MESSAGES.RasMessage
    message.set_val((kind, fields))
    encoded: bytes = message.to_aper()
    return encoded


def read_by_pycrate(data: bytes) -> tuple[str, dict[str, Any]]:
    message = H225.H323_MESSAGES.RasMessage
    message.from_aper(data)
    found: tuple[str, dict[str, Any]] = message.get_val()
    assert message.to_aper() == data  # its own encoding is the same, bit by bit
    return found


def address(host: str, port: int) -> tuple[str, dict[str, Any]]:
    from ipaddress import ip_address

    found = ip_address(host)
    return "ipAddress" if found.version == 4 else "ip6Address", {"ip": found.packed, "port": port}


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: str(request.number))
def test_pycrate_reads_our_requests(request_: GatekeeperRequest) -> None:
    kind, fields = read_by_pycrate(request_.encode())
    assert kind == "gatekeeperRequest"
    assert fields["requestSeqNum"] == request_.number
    assert fields["protocolIdentifier"] == VERSION
    assert fields["rasAddress"] == address(*request_.ras_address)
    assert fields.get("gatekeeperIdentifier") == request_.gatekeeper
    assert fields["endpointType"] == {"terminal": {}, "mc": False, "undefinedNode": False}
    assert parse_request(request_.encode()) == request_


@pytest.mark.parametrize("answer", ANSWERS)
def test_pycrate_reads_our_answers(answer: GatekeeperConfirm | GatekeeperReject) -> None:
    kind, fields = read_by_pycrate(answer.encode())
    assert kind == ("gatekeeperConfirm" if isinstance(answer, GatekeeperConfirm) else "gatekeeperReject")
    assert fields["requestSeqNum"] == answer.number
    assert fields.get("gatekeeperIdentifier") == answer.gatekeeper
    if isinstance(answer, GatekeeperReject):
        assert fields["rejectReason"] == (answer.reason, 0)
    assert parse_answer(answer.encode()) == answer


def test_tshark_reads_what_we_write(tmp_path: Path) -> None:
    datagrams = [(request.encode(), 40_000, 1719) for request in REQUESTS]
    datagrams += [(answer.encode(), 1719, 40_000) for answer in ANSWERS]
    found = [layer["h225.RasMessage_tree"] for layer in dissect(tmp_path, datagrams, "h225")]
    assert "_ws.expert" not in str(found)  # its complaints
    for request, tree in zip(REQUESTS, found, strict=False):
        fields = tree["h225.gatekeeperRequest_element"]
        assert fields["h225.requestSeqNum"] == str(request.number)
        assert fields["h225.protocolIdentifier"] == "0.0.8.2250.0.4"
        assert fields.get("h225.gatekeeperIdentifier") == request.gatekeeper
        where = next(iter(fields["h225.rasAddress_tree"].values()))
        host = where.get("h225.ipV4") or where["h225.ipV6"]
        assert (host, where.get("h225.ipV4_port") or where["h225.ipV6_port"]) == (
            request.ras_address[0],
            str(request.ras_address[1]),
        )
    for answer, tree in zip(ANSWERS, found[len(REQUESTS) :], strict=True):
        (element, fields), *_ = tree.items()
        assert element == (
            "h225.gatekeeperConfirm_element"
            if isinstance(answer, GatekeeperConfirm)
            else "h225.gatekeeperReject_element"
        )
        assert fields["h225.requestSeqNum"] == str(answer.number)
        assert fields.get("h225.gatekeeperIdentifier") == answer.gatekeeper
        if isinstance(answer, GatekeeperReject):
            assert f"h225.{answer.reason}_element" in fields["h225.rejectReason_tree"]


def beginnings() -> Iterator[dict[str, Any]]:
    """What answers begin with, in every shape that another maker may choose."""
    owners = (None, ("h221NonStandard", MAKER), ("object", (1, 3, 6, 1, 4, 1, 32_473)))
    for owner, name in itertools.product(owners, (None, "G", "网守", "G" * 128)):
        fields: dict[str, Any] = {"requestSeqNum": 4711, "protocolIdentifier": VERSION}
        if owner:
            fields["nonStandardData"] = {"nonStandardIdentifier": owner, "data": b"\xff" * 200}
        if name:
            fields["gatekeeperIdentifier"] = name
        yield fields


@pytest.mark.parametrize("fields", tuple(beginnings()))
def test_we_read_what_pycrate_writes(fields: dict[str, Any]) -> None:
    name = fields.get("gatekeeperIdentifier")
    for newer in ({}, {"algorithmOID": (1, 2, 3), "integrity": []}):
        for host, port in (("192.0.2.1", 1719), ("2001:db8::1", 65_535)):
            data = by_pycrate("gatekeeperConfirm", {**fields, **newer, "rasAddress": address(host, port)})
            assert parse_answer(data) == GatekeeperConfirm(4711, name, (host, port))
        other = by_pycrate("gatekeeperConfirm", {**fields, "rasAddress": ("nsap", b"abc")})
        assert parse_answer(other) == GatekeeperConfirm(4711, name, None)
    for reason in (*REASONS, "securityDenial", "neededFeatureNotSupported"):
        data = by_pycrate("gatekeeperReject", {**fields, "rejectReason": (reason, 0)})
        assert parse_answer(data) == GatekeeperReject(4711, name, reason)


def test_we_read_the_other_answers_and_terminals_of_others() -> None:
    assert parse_answer(by_pycrate("unknownMessageResponse", {"requestSeqNum": 7})) == UnknownMessage(7)
    data = by_pycrate("requestInProgress", {"requestSeqNum": 7, "delay": 1500})
    assert parse_answer(data) == RequestInProgress(7, 1.5)
    vendor = {"vendor": MAKER, "productId": b"Set", "versionId": b"1"}
    kinds = {"vendor": vendor, "terminal": {}, "mc": False, "undefinedNode": True}
    fields = {
        "requestSeqNum": 7,
        "protocolIdentifier": VERSION,
        "rasAddress": address("192.0.2.1", 9),
        "endpointType": kinds,
    }
    data = by_pycrate("gatekeeperRequest", fields | {"gatekeeperIdentifier": "GK", "endpointAlias": [("h323-ID", "a")]})
    assert parse_request(data) == GatekeeperRequest(7, ("192.0.2.1", 9), "GK")
    assert parse_request(by_pycrate("gatekeeperRequest", fields)).gatekeeper is None


@pytest.mark.parametrize("kind", ["unregistrationReject", "admissionReject"])
def test_other_messages_are_refused(kind: str) -> None:
    data = by_pycrate(
        kind,
        {"requestSeqNum": 7, "rejectReason": ("undefinedReason" if kind[0] == "u" else "requestDenied", 0)},
    )
    with pytest.raises(MalformedPer):
        parse_answer(data)
    with pytest.raises(MalformedPer):
        parse_request(data)


@given(
    st.binary(max_size=80)
    | st.sampled_from(ANSWERS).flatmap(lambda a: st.integers(0, 30).map(lambda n: a.encode()[:n]))
)
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    for read in (parse_answer, parse_request):
        try:
            read(data)
        except MalformedPer:
            continue


def test_every_cut_is_refused() -> None:
    whole = GatekeeperConfirm(9, "GK", ("127.0.0.1", 1719)).encode()
    for length in range(len(whole)):
        with pytest.raises(MalformedPer):
            parse_answer(whole[:length])


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 128"):
        GatekeeperRequest(1, ("127.0.0.1", 1), "G" * 129).encode()
    with pytest.raises(ValueError, match="1 to 128"):
        GatekeeperRequest(1, ("127.0.0.1", 1), "").encode()
    with pytest.raises(ValueError, match="address"):
        GatekeeperConfirm(1, None, None).encode()
    with pytest.raises(ValueError, match="fit"):
        Writer().bits(2, 4)
    with pytest.raises(ValueError, match="short"):
        Writer().octet_string(bytes(128))
    assert Writer().encode() == b""


def test_lengths() -> None:
    assert Reader(b"\x80\xc8" + bytes(200)).octet_string() == bytes(200)
    with pytest.raises(MalformedPer, match="fragments"):
        Reader(b"\xc1").length()
    with pytest.raises(MalformedPer, match="sixty-fourth"):
        Reader(b"\x80").small()
