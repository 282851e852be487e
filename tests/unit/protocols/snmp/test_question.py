"""The GET that is read without the decoder gives what the decoder gives."""

from __future__ import annotations

import random

import pytest

from sentinel.protocols.snmp.codec import Codec, Tube
from sentinel.protocols.snmp.credentials import Credentials
from sentinel.protocols.snmp.datagram import MalformedError, dotted
from sentinel.protocols.snmp.question import Question, encoded
from tests.unit.protocols.snmp import ber

VALUES = {
    "1.3.6.1.2.1.1.3.0": ber.ticks(2**32 - 1),
    "1.3.6.1.2.1.1.5.0": ber.octets("交换机".encode()),
    "1.3.6.1.2.1.1.2.0": ber.oid("1.3.6.1.4.1.32473.2.999.4294967295"),
    "1.3.6.1.2.1.2.2.1.8.1": ber.integer(-2),
    "1.3.6.1.2.1.31.1.1.1.6.1": ber.counter64(2**64 - 1),
    "1.3.6.1.2.1.2.2.1.10.1": ber.counter32(2**31),
    "1.3.6.1.2.1.2.2.1.5.1": ber.integer(4_000_000_000, 0x42),
    "1.3.6.1.2.1.4.20.1.1.5": ber.tlv(0x40, bytes((192, 0, 2, 5))),
    "1.3.6.1.4.1.2021.10.1.6.1": ber.tlv(0x44, b"\x9f\x78\x04\x3f\x80\x00\x00"),
    "1.3.6.1.2.1.1.99.0": ber.NO_SUCH_INSTANCE,
}


def test_it_says_what_the_decoder_says() -> None:
    tube = Tube()
    codec = Codec(Credentials("v2c", "public"), tube)
    request = codec.encode(lambda: codec.gufo.send_get_many(list(VALUES)))
    answer = ber.read(request).answer(VALUES.items())
    decoded = codec.decode(answer, codec.gufo.recv_get_many)
    reply, values = Question(b"public", tuple(VALUES)).read(answer)
    tube.close()
    assert values == decoded
    assert reply is not None
    assert reply.number == ber.read(request).number
    assert "1.3.6.1.2.1.1.99.0" not in values


def test_a_request_is_sound_and_bears_a_new_number_each_time() -> None:
    question = Question(b"public", tuple(VALUES))
    numbers = set()
    for _ in range(100):
        number, request = question.datagram()
        read = ber.read(request)
        assert (read.number, list(read.names), read.repetitions) == (number, list(VALUES), None)
        numbers.add(number)
    assert len(numbers) > 90


def test_what_nobody_asked_for_is_left_out_and_another_community_is_not_ours() -> None:
    question = Question(b"public", ("1.3.6.1.2.1.1.3.0",))
    _, request = question.datagram()
    more = ber.read(request).answer([("1.3.6.1.2.1.1.3.0", ber.ticks(1)), ("1.3.6.1.2.1.1.4.0", ber.octets(b"x"))])
    assert question.read(more)[1] == {"1.3.6.1.2.1.1.3.0": 1}
    assert question.read(more.replace(b"public", b"secret")) == (None, {})
    with pytest.raises(MalformedError):
        question.read(more[:-1])


@pytest.mark.parametrize(
    "oid", ["0.0", "1.3.6.1", "2.999.3", "1.3.6.1.4.1.2147483648.4294967295", "1.3.127.128.16383.16384"]
)
def test_an_oid_is_written_and_read(oid: str) -> None:
    assert dotted(encoded(oid)) == oid


def test_no_datagram_is_more_than_malformed() -> None:
    chance = random.Random(3)
    question = Question(b"public", tuple(VALUES))
    sound = ber.read(question.datagram()[1]).answer(VALUES.items())
    for _ in range(3000):
        broken = bytearray(sound)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            question.read(bytes(broken[: chance.randint(0, len(broken))] if chance.random() < 0.3 else broken))
        except MalformedError:
            continue
