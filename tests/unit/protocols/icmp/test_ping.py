import socket

import pytest

from sentinel.domain.failure import Failure
from sentinel.protocols.icmp.ping import Ping, endpoint, marks

MS = 1_000_000


def ping(count: int = 3) -> Ping:
    where = endpoint("192.0.2.1")
    assert where is not None
    made = Ping(None, where, 0, lambda *_: None, None)  # type: ignore[arg-type]  # nothing is sent here
    made.count = count
    return made


def test_the_values_of_a_run() -> None:
    run = ping()
    run.sent, run.settled, run.last = 3, 3, 250 * MS
    run.round_trips = [10 * MS, 30 * MS, 20 * MS]
    measured = run.measurement(300 * MS)
    assert measured.failure is None
    assert measured.took == pytest.approx(0.25)
    assert measured.values == pytest.approx(
        {
            "sent": 3,
            "received": 3,
            "loss_ratio": 0,
            "rtt_min_seconds": 0.01,
            "rtt_avg_seconds": 0.02,
            "rtt_max_seconds": 0.03,
            "rtt_jitter_seconds": 0.015,
        }
    )


def test_loss_is_no_failure_while_one_reply_came() -> None:
    run = ping()
    run.sent, run.settled, run.round_trips = 3, 1, [MS]
    measured = run.measurement(2000 * MS)
    assert measured.failure is None
    assert measured.values["loss_ratio"] == pytest.approx(2 / 3)
    assert measured.took == pytest.approx(2)


def test_the_networks_word_counts_before_silence_and_silence_before_our_own_troubles() -> None:
    run = ping()
    assert run.measurement(0).failure == Failure("echo", "overloaded", "no request could leave before the deadline")
    run.unsent = Failure("echo", "no_route")
    assert run.measurement(0).failure == run.unsent
    run.sent = 2
    assert run.measurement(0).failure == Failure("echo", "lost", "2 sent, none answered")
    run.rejected = Failure("echo", "unreachable")
    assert run.measurement(0).failure == run.rejected


@pytest.mark.parametrize(
    ("address", "version", "text"),
    [
        ("192.0.2.1", 4, "192.0.2.1"),
        ("2001:DB8:0:0::1", 6, "2001:db8::1"),
        ("::ffff:192.0.2.1", 4, "192.0.2.1"),
        ("fe80::1%lo", 6, "fe80::1"),
    ],
)
def test_endpoints(address: str, version: int, text: str) -> None:
    where = endpoint(address)
    assert where is not None
    assert (where.version, where.text) == (version, text)


def test_a_link_local_address_keeps_its_interface() -> None:
    where = endpoint("fe80::1%lo")
    assert where is not None
    assert where.sockaddr[3] == socket.if_nametoindex("lo")
    with pytest.raises(OSError, match="nterface"):
        endpoint("fe80::1%nothing-here")


@pytest.mark.parametrize("name", ["switch-01.example", "192.0.2.256", "192.0.2.1%lo", "", "nobody%lo"])
def test_names_have_no_endpoint(name: str) -> None:
    assert endpoint(name) is None


def test_marks() -> None:
    assert marks(4, 9, 46) == [(socket.IPPROTO_IP, socket.IP_TTL, 9), (socket.IPPROTO_IP, socket.IP_TOS, 184)]
    assert marks(6, 9, 46) == [(socket.IPPROTO_IPV6, 52, 9), (socket.IPPROTO_IPV6, 67, 184)]
    assert marks(4, None, None) == []
