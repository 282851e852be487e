"""Digest in SIP (RFC 3261, section 22; RFC 8760): the challenge of an answer, and the server's side.

    challenge = challenge_of(answer)                               # 401 or 407
    login = Login(challenge, "8001", "secret")                     # wire/digest.py
    headers.append((CREDENTIALS[answer.status], login.authorization("OPTIONS", uri)))

    realm = Realm("3402000000")
    respond(request, 401, headers=[("www-authenticate", realm.challenge(now))])
    realm.judge(request.header("authorization"), "REGISTER", passwords.get, now)

Basic is never answered: RFC 3261, 22 forbids it, and it would give the password to whoever asks.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from sentinel.wire.digest import MAX_HEADER, Challenge, Login, parse_challenges, strongest
from sentinel.wire.sip import Response

CHALLENGES: Final = {401: "www-authenticate", 407: "proxy-authenticate"}
"""The header that a challenge comes in, by the status of the answer (22.2, 22.3)."""

CREDENTIALS: Final = {401: "authorization", 407: "proxy-authorization"}
"""The header that its answer goes in."""

_PARAMETER: Final = re.compile(r'([A-Za-z*]{1,32})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]*))', re.DOTALL)
_COUNT: Final = re.compile(r"[0-9A-Fa-f]{8}")


def challenge_of(answer: Response) -> Challenge | None:
    """The best Digest challenge of a 401 or 407, None where it holds none that can be answered.

    Raises:
        MalformedChallenge: a challenge that cannot be read.
    """
    offered = parse_challenges(answer.headers_of(CHALLENGES[answer.status]))
    return strongest(challenge for challenge in offered if challenge.scheme == "digest")


Judgement = Literal["good", "stale", "wrong", "missing"]


@dataclass(slots=True)
class Realm:
    """Who may ask: challenges, and judges their answers.  ``lifetime`` is that of a nonce, in seconds.

    A nonce is its time and a keyed hash of it, so nothing is kept for strangers.  Whoever records an answer may send
    it again until its nonce is stale: the caller sees to it that a repeated request does no harm.
    """

    name: str
    algorithm: Literal["MD5", "SHA-256"] = "MD5"
    lifetime: float = 60.0
    qop: bool = True
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), init=False, repr=False)

    def challenge(self, now: float, *, stale: bool = False) -> str:
        """The value of WWW-Authenticate or Proxy-Authenticate.  ``now``: seconds of a monotonic clock."""
        qop = ', qop="auth"' if self.qop else ""
        told = ", stale=true" if stale else ""
        return f'Digest realm="{self.name}", nonce="{self._nonce(now)}", algorithm={self.algorithm}{qop}{told}'

    def judge(
        self, header: str | None, method: str, password_of: Callable[[str], str | None], now: float
    ) -> tuple[Judgement, str]:
        """What to make of Authorization or Proxy-Authorization, and the user's name where it is ``good``.

        ``stale``: the answer is to a nonce of ours that has grown old; challenge again with ``stale``.
        """
        scheme, _, rest = (header or "").strip().partition(" ")
        if scheme.lower() != "digest" or len(rest) > MAX_HEADER:
            return "missing", ""
        found = ((name.lower(), quoted, bare) for name, quoted, bare in _PARAMETER.findall(rest))
        given = {name: re.sub(r"\\(.)", r"\1", quoted) if quoted else bare for name, quoted, bare in found}
        user, nonce = given.get("username", ""), given.get("nonce", "")
        password = password_of(user)
        if password is None or given.get("realm") != self.name or not self._ours(nonce):
            return "wrong", ""
        expected = self._expected(given, user, password, method)
        if expected is None or not hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode()):
            return "wrong", ""
        # Told only to who knows the password: RFC 7616, 3.3.
        return ("good", user) if 0 <= now - self._made_at(nonce) <= self.lifetime else ("stale", "")

    def _expected(self, given: dict[str, str], user: str, password: str, method: str) -> str | None:
        if given.get("algorithm", "MD5").upper() != self.algorithm or given.get("qop", "auth").lower() != "auth":
            return None
        qop = frozenset({"auth"} if "qop" in given else ())
        count = given.get("nc", "00000001")
        if not _COUNT.fullmatch(count) or count == "00000000":
            return None
        challenge = Challenge("digest", self.name, given["nonce"], algorithm=self.algorithm, qop=qop)
        login = Login(challenge, user, password, given.get("cnonce", ""), int(count, 16) - 1)
        right = login.authorization(method, given.get("uri", ""))
        return right.partition('response="')[2].partition('"')[0]

    def _nonce(self, now: float) -> str:
        made = f"{int(now * 1000):x}"
        return f"{made}.{self._seal(made)}"

    def _seal(self, made: str) -> str:
        return hmac.digest(self._key, made.encode(), "sha256").hex()[:32]

    def _ours(self, nonce: str) -> bool:
        made, _, seal = nonce.partition(".")
        return hmac.compare_digest(seal.encode(), self._seal(made).encode())

    def _made_at(self, nonce: str) -> float:
        return int(nonce.partition(".")[0], 16) / 1000
