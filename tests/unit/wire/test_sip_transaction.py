"""When a request is sent again, what is its answer, and what a server says twice."""

import pytest

from sentinel.wire.sip import Dialog, Request, Response, build, parse_datagram, respond
from sentinel.wire.sip_headers import Via
from sentinel.wire.sip_transaction import LIFETIME, Answered, ClientTransaction


def options(branch: str = "z9hG4bK1", number: int = 1) -> Request:
    dialog = Dialog("<sip:a@192.0.2.1>;tag=1", "<sip:192.0.2.7>", "call-1")
    via = Via("UDP", "192.0.2.1", 5060, {"rport": None, "branch": branch})
    return build("OPTIONS", "sip:192.0.2.7", dialog, via=via, number=number)


def sendings(transaction: ClientTransaction) -> list[float]:
    """When it is sent again, in seconds after the first time."""
    found = []
    while (now := transaction.due) < transaction.started + LIFETIME:
        assert transaction.repeats(now)
        found.append(now - transaction.started)
    with pytest.raises(TimeoutError):
        transaction.repeats(now)
    return found


def test_timer_e_doubles_up_to_t2_and_timer_f_ends_it() -> None:
    # RFC 3261, 17.1.2.2: "retransmissions ... 500 ms, 1 s, 2 s, 4 s, 4 s, 4 s, etc."
    found = sendings(ClientTransaction(options(), reliable=False, started=100.0))
    assert found == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def test_after_a_provisional_answer_it_is_t2() -> None:
    transaction = ClientTransaction(options(), reliable=False, started=0.0)
    answer = transaction.takes(respond(options(), 100))
    assert answer is not None
    assert not answer.final
    assert sendings(transaction)[:3] == [0.5, 4.5, 8.5]


def test_over_a_connection_nothing_is_sent_twice() -> None:
    transaction = ClientTransaction(options(), reliable=True, started=0.0)
    assert transaction.due == LIFETIME
    assert sendings(transaction) == []


def test_the_answer_is_known_by_branch_and_cseq() -> None:
    transaction = ClientTransaction(options(), reliable=False, started=0.0)
    good = respond(options(), 404, tag="t", source=("192.0.2.1", 5060))
    assert transaction.takes(good) is good
    for stray in (
        respond(options("z9hG4bK2"), 200, tag="t"),
        respond(options(number=2), 200, tag="t"),
        options(),
        Response((), b"", 200, "OK"),
        parse_datagram(good.encode().replace(b"1 OPTIONS", b"1 INVITE")),
        parse_datagram(good.encode().replace(b"call-1", b"call-2")),
        parse_datagram(good.encode().replace(b"Via: ", b"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1, ")),
    ):
        assert transaction.takes(stray) is None


def test_a_request_that_comes_again_has_its_answer_again() -> None:
    answered = Answered()
    assert answered.recall(options(), 0.0) is None
    answered.keep(options(), b"answer", 0.0)
    assert answered.recall(options(), 31.9) == b"answer"
    assert answered.recall(options("z9hG4bK2"), 1.0) is None
    assert answered.recall(options(), 32.1) is None
    assert len(answered) == 0


def test_a_request_of_the_old_rfc_is_known_by_its_headers() -> None:
    answered = Answered()
    answered.keep(options("1"), b"answer", 0.0)
    assert answered.recall(options("1"), 1.0) == b"answer"
    assert answered.recall(options("1", number=2), 1.0) is None


def test_no_more_answers_are_kept_than_allowed() -> None:
    answered = Answered(limit=3)
    for number in range(10):
        answered.keep(options(f"z9hG4bK{number}"), b"", 0.0)
    assert len(answered) == 3
    assert answered.recall(options("z9hG4bK9"), 0.0) == b""
    assert answered.recall(options("z9hG4bK0"), 0.0) is None
