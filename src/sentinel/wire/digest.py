"""HTTP authentication as RTSP and SIP use it: Basic (RFC 7617) and Digest (RFC 7616, and RFC 2617 before it).

    challenge = strongest(parse_challenges(response.headers("www-authenticate")))
    login = Login(challenge, "admin", "secret")
    request.headers["Authorization"] = login.authorization("DESCRIBE", uri)

Only the client's side; no input or output.  Nothing here puts a password into an error.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

MAX_HEADER = 8_192
"""A challenge longer than this many characters is refused."""

_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_STRENGTH = {"MD5": 1, "SHA-256": 2, "SHA-512-256": 3}
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - RFC 9110, 5.6.2
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|(?=,)|$)")
# Cameras write unquoted values with characters that no token may hold: all up to the comma belongs to them.
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",]*))\s*(?:,|$)', re.DOTALL)
_COMMAS = re.compile(r"[\s,]*")


class MalformedChallenge(ValueError):
    """A WWW-Authenticate header that cannot be read."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the server asks for: ``scheme`` is ``basic`` or ``digest`` (or another, lower case, that is not known here).

    ``algorithm`` is as the server wrote it, in upper case, ``MD5`` where it wrote none (RFC 7616, 3.3).
    """

    scheme: str
    realm: str = ""
    nonce: str = ""
    opaque: str | None = None
    algorithm: str = "MD5"
    algorithm_given: bool = False
    qop: frozenset[str] = frozenset()
    stale: bool = False
    userhash: bool = False
    utf8: bool = False

    @property
    def hash_name(self) -> str | None:
        """The name of the hash in hashlib, None where the algorithm is not known."""
        return _HASHES.get(self.algorithm.removesuffix("-SESS"))

    @property
    def strength(self) -> int:
        """To choose by: 0 is Basic, more is better, -1 is not usable."""
        if self.scheme == "basic":
            return 0
        if self.scheme != "digest" or not self.hash_name or self.hash_name not in hashlib.algorithms_available:
            return -1
        if self.qop and not self.qop & {"auth", "auth-int"}:
            return -1
        return _STRENGTH[self.algorithm.removesuffix("-SESS")]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of all WWW-Authenticate headers; one header may hold several (RFC 9110, 11.6.1).

    Raises:
        MalformedChallenge: a header that cannot be read.
    """
    found: list[Challenge] = []
    for header in headers:
        if len(header) > MAX_HEADER:
            raise MalformedChallenge("the challenge is too long")
        at = _skip_commas(header, 0)
        while at < len(header):
            scheme = _SCHEME.match(header, at)
            if scheme is None:
                raise MalformedChallenge(f"no scheme in {header[at : at + 40]!r}")
            parameters, at = _parameters(header, scheme.end())
            found.append(_challenge(scheme[1].lower(), parameters))
    return found


def strongest(challenges: Iterable[Challenge]) -> Challenge | None:
    """The best challenge that can be answered here, None where none can."""
    best = max(challenges, key=lambda challenge: challenge.strength, default=None)
    return best if best is not None and best.strength >= 0 else None


def _skip_commas(header: str, at: int) -> int:
    match = _COMMAS.match(header, at)
    return match.end() if match else at


def _parameters(header: str, at: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    at = _skip_commas(header, at)
    while match := _PARAMETER.match(header, at):
        name, quoted, bare = match.groups()
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare.strip())
        at = _skip_commas(header, match.end())
    return found, at


def _challenge(scheme: str, parameters: Mapping[str, str]) -> Challenge:
    if scheme == "digest" and "nonce" not in parameters:
        raise MalformedChallenge("a Digest challenge without a nonce")
    return Challenge(
        scheme,
        realm=parameters.get("realm", ""),
        nonce=parameters.get("nonce", ""),
        opaque=parameters.get("opaque"),
        algorithm=parameters.get("algorithm", "").upper() or "MD5",
        algorithm_given="algorithm" in parameters,
        qop=frozenset(word.strip().lower() for word in parameters.get("qop", "").split(",") if word.strip()),
        stale=parameters.get("stale", "").lower() == "true",
        userhash=parameters.get("userhash", "").lower() == "true",
        utf8=parameters.get("charset", "").upper() == "UTF-8",
    )


@dataclass(slots=True)
class Login:
    """A user's answers to one challenge; counts how often its nonce was used (``nc``, RFC 7616, 3.4).

    ``cnonce`` is random for each request; a fixed one is for tests against the RFC's examples.
    """

    challenge: Challenge
    username: str
    password: str = field(repr=False)
    cnonce: str | None = None
    used: int = 0

    def authorization(self, method: str, uri: str, body: bytes = b"") -> str:
        """The value of the Authorization header for one request.

        Raises:
            ValueError: the challenge is of a kind that is not known here (``strongest`` never gives one).
        """
        if self.challenge.scheme == "basic":
            pair = f"{self.username}:{self.password}".encode()
            return "Basic " + base64.b64encode(pair).decode("ascii")
        if self.challenge.strength < 0:
            raise ValueError(f"cannot answer {self.challenge.scheme} {self.challenge.algorithm}")
        self.used += 1
        return _digest(self, method, uri, body, self.cnonce or secrets.token_hex(16))


def _digest(login: Login, method: str, uri: str, body: bytes, cnonce: str) -> str:
    challenge = login.challenge
    name = challenge.hash_name or "md5"

    def digest(*parts: str | bytes) -> str:
        octets = b":".join(part if isinstance(part, bytes) else part.encode() for part in parts)
        return hashlib.new(name, octets, usedforsecurity=False).hexdigest()

    session = challenge.algorithm.endswith("-SESS")
    qop = "auth" if "auth" in challenge.qop else "auth-int" if challenge.qop else None
    count = f"{login.used:08x}"
    secret = digest(login.username, challenge.realm, login.password)
    if session:
        secret = digest(secret, challenge.nonce, cnonce)
    request = digest(method, uri, digest(body)) if qop == "auth-int" else digest(method, uri)
    if qop is None:  # RFC 2617, 3.2.2.1: the form of RFC 2069
        response = digest(secret, challenge.nonce, request)
    else:
        response = digest(secret, challenge.nonce, count, cnonce, qop, request)
    fields = [
        *_user(login, digest),
        f"realm={_quoted(challenge.realm)}",
        f"nonce={_quoted(challenge.nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{response}"',
    ]
    if challenge.algorithm_given:  # some cameras refuse an algorithm that they did not name
        fields.append(f"algorithm={challenge.algorithm.replace('-SESS', '-sess')}")
    if challenge.opaque is not None:
        fields.append(f"opaque={_quoted(challenge.opaque)}")
    if qop is not None:
        fields += [f"qop={qop}", f"nc={count}"]
    if qop is not None or session:
        fields.append(f'cnonce="{cnonce}"')
    return "Digest " + ", ".join(fields)


def _user(login: Login, digest: Callable[..., str]) -> list[str]:
    # RFC 7616, 3.4.4: the user's name is hashed where the server can take it, or else encoded where it is not ASCII.
    challenge = login.challenge
    if challenge.userhash:
        return [f'username="{digest(login.username, challenge.realm)}"', "userhash=true"]
    if challenge.utf8 and not login.username.isascii():
        encoded = quote(login.username, safe="")
        return [f"username*=UTF-8''{encoded}"]
    return [f"username={_quoted(login.username)}"]


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
