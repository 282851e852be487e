from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.protocols.snmp.answers import AgentError
from sentinel.protocols.snmp.codec import Codec, Tube
from sentinel.protocols.snmp.credentials import Credentials
from sentinel.protocols.snmp.datagram import Key, MalformedError, Reply, read_v2c, read_v3, request_number
from tests.unit.protocols.snmp import ber

UPTIME = "1.3.6.1.2.1.1.3.0"
SOUND = ber.v2c(
    ber.pdu(
        ber.RESPONSE,
        77,
        [
            (UPTIME, ber.ticks(5)),
            ("1.3.6.1.2.1.1.1.0", ber.octets(b"x" * 200)),
            ("1.3.6.1.4.1.99999.1", ber.counter64(2**64 - 1)),
            ("1.3.6.1.2.1.1.2.0", ber.NO_SUCH_INSTANCE),
        ],
    )
)


def test_a_sound_answer_is_read() -> None:
    assert read_v2c(SOUND, b"public") == Reply(77)


def test_another_community_is_not_ours() -> None:
    assert read_v2c(SOUND, b"private") is None


@pytest.mark.parametrize("status", [1, 5, 16])
def test_an_error_status_is_seen(status: int) -> None:
    data = ber.v2c(ber.pdu(ber.RESPONSE, 1, [], status=status, index=2))
    assert read_v2c(data, b"public") == Reply(1, status, 2)


@pytest.mark.parametrize(
    "data",
    [
        SOUND + b"\x00",
        SOUND[:-1],
        ber.v2c(ber.pdu(ber.GET, 1, [])),
        ber.v2c(ber.pdu(ber.RESPONSE, 1, []) + b"\x05\x00"),
        ber.v2c(
            ber.tlv(ber.RESPONSE, ber.integer(1) * 3 + ber.tlv(0x30, b"\x30\x00"))
        ),  # gufo indexes what is not there
        ber.v2c(ber.tlv(ber.RESPONSE, ber.integer(1) * 3 + ber.variables([]) + b"\x05\x00")),
        ber.v2c(ber.pdu(ber.RESPONSE, 1, [(UPTIME, b"\x43\x06" + bytes(6))])),
        ber.v2c(ber.pdu(ber.RESPONSE, 1, [(UPTIME, b"\x09\x00")])),  # REAL: not of SMIv2
        ber.v2c(ber.pdu(ber.RESPONSE, 1, [(UPTIME, b"\x30\x00")])),
        ber.v2c(ber.pdu(ber.RESPONSE, 1, [(UPTIME, ber.ticks(1) * 2)])),
        ber.tlv(0x30, ber.integer(0) + ber.octets(b"public") + ber.pdu(ber.RESPONSE, 1, [])),
        b"\x30\x84\xff\xff\xff\xff",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_v2c(data, b"public")


mutations = st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=6)


@given(mutations, st.integers(0, len(SOUND)))
def test_what_passes_never_makes_the_decoder_panic(changes: list[tuple[int, int]], cut: int) -> None:
    """gufo's panic would come out as an AgentError that says "gave up"."""
    data = bytearray(SOUND)
    for at, byte in changes:
        data[at] = byte
    for candidate in (bytes(data), bytes(data[:cut])):
        try:
            reply = read_v2c(candidate, b"public")
        except MalformedError:
            continue
        if reply is None:
            continue
        assert [error for error in decoded(candidate) if "gave up" in error] == []


def decoded(data: bytes) -> list[str]:
    """What the decoder had to complain about."""
    tube = Tube()
    codec = Codec(Credentials("v2c", "public"), tube)
    said = []
    for method in (codec.gufo.recv_get_many, codec.gufo.recv_get):
        try:
            codec.decode(data, method)
        except AgentError as error:
            said.append(error.detail)
    tube.close()
    return said


def test_the_decoder_itself_panics_and_that_is_caught(capfd: pytest.CaptureFixture[str]) -> None:
    """Where this fails, gufo-snmp has learned better and datagram.py may be needed less."""
    assert all("gave up" in said for said in decoded(b"\x30\x84"))
    assert "panicked" in capfd.readouterr().err


@given(st.binary(max_size=300), st.booleans())
def test_nothing_else_than_malformed_is_raised(data: bytes, wrapped: bool) -> None:  # noqa: FBT001 - hypothesis's
    data = ber.tlv(0x30, data) if wrapped else data
    for read in (
        lambda: read_v2c(data, b"public"),
        lambda: read_v3(data, Key("sha", b"k")),
        lambda: request_number(data),
    ):
        with contextlib.suppress(MalformedError):
            read()


def test_the_codecs_own_requests_have_their_number() -> None:
    tube = Tube()
    try:
        codec = Codec(Credentials("v2c", "public"), tube)
        request = codec.encode(lambda: codec.gufo.send_get_many([UPTIME]))
        assert request_number(request) == ber.read(request).number
    finally:
        tube.close()


def v3_message(scoped: bytes, *, flags: int = 0, digest: bytes = b"", number: int = 9) -> bytes:
    header = ber.tlv(0x30, ber.integer(number) + ber.integer(2048) + ber.octets(bytes((flags,))) + ber.integer(3))
    parts = [
        ber.octets(b"engine-1"),
        ber.integer(1),
        ber.integer(2),
        ber.octets(b"u"),
        ber.octets(digest),
        ber.octets(b""),
    ]
    return ber.tlv(0x30, ber.integer(3) + header + ber.octets(ber.tlv(0x30, b"".join(parts))) + scoped)


def scoped_pdu(body: bytes) -> bytes:
    return ber.tlv(0x30, ber.octets(b"engine-1") + ber.octets(b"") + body)


def test_a_report_says_which() -> None:
    report = ber.pdu(ber.REPORT, 0, [("1.3.6.1.6.3.15.1.1.3.0", ber.counter32(1))])
    assert read_v3(v3_message(scoped_pdu(report)), None) == Reply(9, report=3)
    other = ber.pdu(ber.REPORT, 0, [(UPTIME, ber.counter32(1))])
    assert read_v3(v3_message(scoped_pdu(other)), None) == Reply(9, report=255)


def test_with_a_key_an_unsigned_answer_is_not_ours_but_a_report_is() -> None:
    key = Key("sha", b"secret")
    answer = scoped_pdu(ber.pdu(ber.RESPONSE, 5, [(UPTIME, ber.ticks(1))]))
    report = scoped_pdu(ber.pdu(ber.REPORT, 0, [("1.3.6.1.6.3.15.1.1.5.0", ber.counter32(1))]))
    assert read_v3(v3_message(answer), None) == Reply(9)
    assert read_v3(v3_message(answer), key) is None
    assert read_v3(v3_message(report), key) == Reply(9, report=5)


def test_a_wrong_digest_is_not_ours() -> None:
    answer = scoped_pdu(ber.pdu(ber.RESPONSE, 5, [(UPTIME, ber.ticks(1))]))
    assert read_v3(v3_message(answer, flags=1, digest=bytes(12)), Key("sha", b"secret")) is None
    assert read_v3(v3_message(answer, flags=1, digest=bytes(5)), Key("sha", b"secret")) is None


def test_what_is_encrypted_and_unsigned_is_not_decrypted() -> None:
    assert read_v3(v3_message(ber.octets(bytes(32)), flags=2), Key("sha", b"secret")) is None
