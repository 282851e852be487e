import ipaddress
import itertools

import pytest

from sentinel.lab.addresses import BLOCKS, belongs, network, readdress, rule


@pytest.mark.parametrize(
    ("address", "port", "block", "moved"),
    [
        ("198.18.10.1", 3389, 0, ("127.18.10.1", 3389)),
        ("198.18.10.1", 161, 0, ("127.18.10.1", 20161)),
        ("198.18.10.1", 1023, 0, ("127.18.10.1", 21023)),
        ("198.18.10.1", 1024, 0, ("127.18.10.1", 1024)),
        ("198.18.10.1", None, 0, ("127.18.10.1", None)),
        ("198.19.255.254", 80, 0, ("127.19.255.254", 20080)),
        ("198.18.0.1", 554, 3, ("127.24.0.1", 20554)),
        ("198.20.0.1", 80, 0, ("198.20.0.1", 80)),
        ("10.0.0.1", 80, 0, ("10.0.0.1", 80)),
        ("127.0.0.1", 80, 0, ("127.0.0.1", 80)),
        ("2001:db8::1", 80, 0, ("2001:db8::1", 80)),
        ("camera.example", 80, 0, ("camera.example", 80)),
    ],
)
def test_the_rule(address: str, port: int | None, block: int, moved: tuple[str, int | None]) -> None:
    assert rule(block)(address, port) == moved
    assert readdress(address, port, block=block) == moved


def test_blocks_are_apart_and_on_loopback() -> None:
    networks = [network(block) for block in range(BLOCKS)]
    assert all(each.subnet_of(ipaddress.IPv4Network("127.0.0.0/8")) for each in networks)
    assert len({each.network_address for each in networks}) == BLOCKS
    assert not any(one.overlaps(two) for one, two in itertools.pairwise(networks))


def test_moving_twice_is_moving_once() -> None:
    once = rule(0)("198.18.1.1", 80)
    assert rule(0)(*once) == once


@pytest.mark.parametrize("block", [-1, BLOCKS])
def test_there_is_no_such_block(block: int) -> None:
    with pytest.raises(ValueError, match="from 0 to"):
        rule(block)


def test_belongs() -> None:
    assert belongs("127.18.0.1", 0)
    assert not belongs("127.18.0.1", 1)
    assert not belongs("198.18.0.1", 0)
    assert not belongs("camera.example", 0)
