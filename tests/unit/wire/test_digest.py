"""Digest against the examples of the RFCs, and against what servers really write."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.wire.digest import Challenge, Login, MalformedChallenge, parse_challenges, strongest

RFC7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc7616_3_9_1(algorithm: str, response: str) -> None:
    [challenge] = parse_challenges([RFC7616.format(algorithm)])
    login = Login(challenge, "Mufasa", "Circle of Life", cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    header = login.authorization("GET", "/dir/index.html")
    assert f'response="{response}"' in header
    assert "qop=auth, nc=00000001" in header
    assert f"algorithm={algorithm}" in header
    assert 'opaque="FQhe/' in header


def test_rfc2617_3_5() -> None:
    challenge = Challenge(
        "digest", "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", qop=frozenset({"auth", "auth-int"})
    )
    header = Login(challenge, "Mufasa", "Circle Of Life", cnonce="0a4f113b").authorization("GET", "/dir/index.html")
    assert 'response="6629fae49393a05397450978507c4ef1"' in header
    assert "algorithm" not in header  # none was named


def test_without_qop_as_most_cameras_ask() -> None:
    [challenge] = parse_challenges(['Digest realm="IP Camera(12345)", nonce="abc", stale="FALSE"'])
    header = Login(challenge, "admin", "12345").authorization("DESCRIBE", "rtsp://192.0.2.1/1")

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    expected = md5(f"{md5('admin:IP Camera(12345):12345')}:abc:{md5('DESCRIBE:rtsp://192.0.2.1/1')}")
    assert f'response="{expected}"' in header
    assert "cnonce" not in header
    assert not challenge.stale


def test_nonce_count_goes_up_and_cnonce_changes() -> None:
    login = Login(parse_challenges([RFC7616.format("MD5")])[0], "u", "p")
    one, two = (login.authorization("OPTIONS", "*") for _ in range(2))
    assert "nc=00000001" in one
    assert "nc=00000002" in two
    assert one.partition("cnonce=")[2] != two.partition("cnonce=")[2]


def test_session_variant_and_auth_int() -> None:
    challenge = Challenge("digest", "r", "n", algorithm="MD5-SESS", algorithm_given=True, qop=frozenset({"auth-int"}))
    header = Login(challenge, "u", "p", cnonce="c").authorization("PUT", "/x", b"body")

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    request = md5(f"PUT:/x:{md5('body')}")
    secret = md5(md5("u:r:p") + ":n:c")
    response = md5(f"{secret}:n:00000001:c:auth-int:{request}")
    assert f'response="{response}"' in header
    assert "algorithm=MD5-sess" in header


def test_basic_and_names_that_are_not_ascii() -> None:
    [basic] = parse_challenges(['Basic realm="x"'])
    assert Login(basic, "Aladdin", "open sesame").authorization("GET", "/") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    utf8 = Challenge("digest", "r", "n", utf8=True)
    assert "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe" in Login(utf8, "Jäsøn Doe", "p").authorization("GET", "/")
    hashed = Challenge("digest", "r", "n", userhash=True)
    assert "userhash=true" in Login(hashed, "u", "p").authorization("GET", "/")


def test_several_challenges_and_the_strongest() -> None:
    headers = ['Basic realm="a, b", Digest realm="c", nonce="1", algorithm=MD5', RFC7616.format("SHA-256")]
    found = parse_challenges(headers)
    assert [(one.scheme, one.algorithm) for one in found] == [
        ("basic", "MD5"),
        ("digest", "MD5"),
        ("digest", "SHA-256"),
    ]
    assert found[0].realm == "a, b"
    best = strongest(found)
    assert best is found[2]
    assert (
        strongest(parse_challenges(['NTLM, Digest nonce="x", algorithm=FOO', 'Digest nonce="x", qop="strange"']))
        is None
    )
    assert strongest([]) is None


def test_sloppy_and_escaped_values() -> None:
    [challenge] = parse_challenges([r'digest Realm="a\"b\\c",nonce=1f/=3 ,, stale=TRUE , qop=auth'])
    assert (challenge.realm, challenge.nonce, challenge.stale) == ('a"b\\c', "1f/=3", True)
    assert r'realm="a\"b\\c"' in Login(challenge, "u", "p").authorization("GET", "/")


@pytest.mark.parametrize("header", ["Digest realm=x", "=", 'Basic realm="x" , "', "Basic " + "x" * 9000])
def test_what_cannot_be_read(header: str) -> None:
    with pytest.raises(MalformedChallenge):
        parse_challenges([header])


def test_an_unknown_algorithm_is_never_answered() -> None:
    with pytest.raises(ValueError, match="FOO"):
        Login(Challenge("digest", "r", "n", algorithm="FOO"), "u", "p").authorization("GET", "/")


def test_the_password_is_not_shown() -> None:
    assert "hush" not in repr(Login(Challenge("basic"), "u", "hush"))


@given(st.text(max_size=200) | st.text('Digest realm="x",nonce=abc\\ ', max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        best = strongest(parse_challenges([text]))
    except MalformedChallenge:
        return
    if best is not None:
        Login(best, "u", "p").authorization("DESCRIBE", "rtsp://192.0.2.1/")
