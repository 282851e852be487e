"""Digest in SIP: our client against our server, and the server against what is wrong."""

from typing import Literal

import pytest

from sentinel.wire.digest import Login, parse_challenges, strongest
from sentinel.wire.sip import Response
from sentinel.wire.sip_login import Realm, challenge_of

USERS = {"8001": "secret-1"}
URI = "sip:192.0.2.7"


def header(realm: Realm, *, now: float = 0.0, user: str = "8001", password: str = "secret-1") -> str:
    challenge = strongest(parse_challenges([realm.challenge(now)]))
    assert challenge is not None
    return Login(challenge, user, password).authorization("OPTIONS", URI)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("older", ["RFC 2617", "RFC 2069"])
def test_the_right_password_is_let_in(algorithm: Literal["MD5", "SHA-256"], older: str) -> None:
    realm = Realm("3402000000", algorithm, qop=older == "RFC 2617")
    assert realm.judge(header(realm), "OPTIONS", USERS.get, 1.0) == ("good", "8001")


def test_everything_else_is_not() -> None:
    realm = Realm("3402000000")
    good = header(realm)
    for given in (
        header(realm, password="wrong"),
        header(realm, user="8002"),
        header(Realm("3402000000")),  # a nonce that another has made
        header(Realm("another")),
        good.replace("nc=00000001", "nc=00000002"),
        good.replace("nc=00000001", "nc=00000000"),
        good.replace("algorithm=MD5", "algorithm=SHA-256"),
        good.replace("qop=auth", "qop=auth-int"),
        good.replace(URI, "sip:192.0.2.8"),
        good.partition("response=")[0],
    ):
        assert realm.judge(given, "OPTIONS", USERS.get, 1.0) == ("wrong", ""), given
    assert realm.judge(good, "REGISTER", USERS.get, 1.0) == ("wrong", "")
    for missing in (None, "", "Basic ODAwMTpzZWNyZXQtMQ==", "Digest " + "a" * 10_000):
        assert realm.judge(missing, "OPTIONS", USERS.get, 1.0) == ("missing", "")


def test_an_old_nonce_is_told_to_who_knows_the_password_only() -> None:
    realm = Realm("3402000000", lifetime=60)
    assert realm.judge(header(realm, now=5), "OPTIONS", USERS.get, 66) == ("stale", "")
    assert realm.judge(header(realm, now=5, password="x"), "OPTIONS", USERS.get, 66) == ("wrong", "")
    [challenge] = parse_challenges([realm.challenge(66, stale=True)])
    assert challenge.stale


def test_the_strongest_digest_is_answered_and_basic_never() -> None:
    def asked(*challenges: str) -> Response:
        return Response(tuple(("www-authenticate", value) for value in challenges), b"", 401, "")

    both = challenge_of(
        asked('Digest realm="a", nonce="1", algorithm=MD5', 'Digest realm="a", nonce="2", algorithm=SHA-256')
    )
    assert both is not None
    assert both.algorithm == "SHA-256"
    assert challenge_of(asked('Basic realm="a"')) is None
    assert challenge_of(asked('Digest realm="a", nonce="1", algorithm=AKAv1-MD5')) is None
    assert challenge_of(asked()) is None


def test_the_key_is_in_no_text() -> None:
    realm = Realm("3402000000")
    assert realm._key.hex() not in repr(realm)
    assert repr(realm._key) not in repr(realm)
