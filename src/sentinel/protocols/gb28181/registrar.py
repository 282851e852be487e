"""A registrar: what has registered with us, how long ago it was heard, and what it says (GB/T 28181-2016, 9.1, 9.6).

Only devices that a check names may register, each with the password of its check; everything else is answered, counted
and forgotten.  Without a login nothing is kept of a stranger.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

import structlog
from pydantic import SecretStr

from sentinel.protocols.gb28181.asking import AGENT, Asking
from sentinel.protocols.gb28181.kept import MAX_EXPIRY, Kept, mark_of
from sentinel.protocols.gb28181.listening import Listening, Way
from sentinel.wire.manscdp import MalformedBody, parse, peek
from sentinel.wire.sip import Request, Response, new_tag, respond
from sentinel.wire.sip_headers import Address, MalformedMessage
from sentinel.wire.sip_login import Realm

log = structlog.get_logger(__name__)

USUAL_EXPIRY: Final = 3_600
MISSED: Final = 3
"""Keep-alives that are missed before the device's checks are hastened; a rule says when it is a fault."""
MAX_KEEPALIVE_BYTES: Final = 4_096
EXPIRED: Final = "expired"
LAPSED: Final = "expired soon after our restart"
"""It may have been renewed in vain while nobody listened."""
MAX_NAMES_LOGGED: Final = 64

_BEIJING: Final = ZoneInfo("Asia/Shanghai")
_ALLOWED: Final = "REGISTER, MESSAGE, NOTIFY, OPTIONS, ACK, BYE"

Hear = Callable[[bytes], None]


@dataclass(slots=True)
class Registration:
    """One device that has registered; times are monotonic seconds."""

    device: str
    way: Way
    since: float
    expires_at: float
    keepalive: float
    """Seconds between two keep-alives, as its check says."""
    heard_at: float
    agent: str = ""
    state: str = ""
    """What its last keep-alive said of itself: OK, ERROR."""
    told: bool = False
    """Its missing keep-alives have hastened its checks."""
    counted_from: float = 0.0
    """Keep-alives from before were sent while nobody listened."""
    resumed: bool = False
    """It is of the daemon's last run, and was not heard since."""

    @property
    def awaited(self) -> bool:
        """Its connection ended with the daemon's last run, and it has not come back yet."""
        return self.resumed and not self.way.alive

    def missed(self, now: float) -> int:
        """Keep-alives that should have come since the last one; a registration counts as one."""
        return max(0, math.floor((now - max(self.heard_at, self.counted_from)) / self.keepalive))


@dataclass(frozen=True, slots=True)
class Known:
    """A device that may register."""

    password: SecretStr
    keepalive: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are to devices."""

    server_id: str
    domain: str
    digest: Literal["MD5", "SHA-256"]


@dataclass(slots=True)
class Registrar:
    """Answers at one address and port.

    ``changed`` is called with a device whose registration came, went or aged; ``keep`` with a device, and what is to be
    kept of it over a restart, which is nothing where it has gone.
    """

    identity: Identity
    place: tuple[str, int]
    changed: Callable[[str], None]
    keep: Callable[[str, Mapping[str, float]], None]
    known: dict[str, Known] = field(default_factory=dict)
    registrations: dict[str, Registration] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    asking: Asking = field(default_factory=Asking)
    calls: dict[str, Callable[[Request], bool]] = field(default_factory=dict)
    """By Call-ID: takes a BYE and says whether it ends the call."""
    listening: Listening = field(init=False)
    _realm: Realm = field(init=False)
    _proofs: dict[str, tuple[str, str]] = field(default_factory=dict, init=False)
    _hearing: dict[tuple[str, str, int], Hear] = field(default_factory=dict, init=False)
    _logged: set[tuple[str, str]] = field(default_factory=set, init=False)
    _number: int = field(default=0, init=False)
    _arrivals: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _ended: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.listening = Listening(*self.place, self.receive)
        # Devices of 2011 and 2016 answer without qop (GB/T 28181-2016, J.1), and some fail where it is offered.
        self._realm = Realm(self.identity.domain, self.identity.digest, qop=False)

    def receive(self, message: Request | Response, way: Way) -> None:
        """Take any message.

        Raises:
            MalformedMessage: it is not fit to be answered.
        """
        if isinstance(message, Response):
            self.asking.take(message)
            return
        answer = self._answer(message, way)
        if answer is not None:
            way.answer(message, answer)

    @contextlib.contextmanager
    def hearing(self, device: str, command: str, hear: Hear) -> Iterator[int]:
        """Give ``hear`` the bodies that the device sends in answer to a question; gives the question's number (SN)."""
        number = self.next_number()
        self._hearing[device, command, number] = hear
        try:
            yield number
        finally:
            del self._hearing[device, command, number]

    def next_number(self) -> int:
        """A number that no question and no picture has had lately."""
        self._number = self._number % 999_999_999 + 1
        return self._number

    async def arrival(self, device: str) -> None:
        """Wait until the device has registered and can be asked."""
        while (found := self.registrations.get(device)) is None or not found.way.alive:
            self._arrivals.clear()
            await self._arrivals.wait()

    def resume(self, device: str, kept: Kept) -> None:
        """Go on with a registration of the daemon's last run, unless it has ended meanwhile or a newer one is known.

        What came over UDP is used at once; what came in a connection when the device speaks again.
        """
        known = self.known.get(device)
        now, wall = time.monotonic(), _wall()
        left = min(kept.expires_at - wall, MAX_EXPIRY)
        if known is None or device in self.registrations or kept.mark != self._mark(device) or left <= 0:
            return
        try:
            way = self.listening.way_to(kept.host, kept.port, over_tcp=kept.over_tcp)
        except OSError:  # there is no way to it any more
            return
        since, heard_at = (now - max(0.0, wall - at) for at in (kept.since, kept.heard_at))
        made = Registration(device, way, since, now + left, known.keepalive, heard_at, told=kept.silent, resumed=True)
        # Nobody heard what it sent meanwhile; but one that was silent before is not well because of our restart.
        made.counted_from = 0.0 if kept.silent else now
        self.registrations[device] = made
        self._arrivals.set()
        log.info("gb28181.resumed", device=device, host=kept.host, expires=round(left))

    def heard_of(self, device: str) -> bool:
        """Whether it was registered with us and is no more, or has tried in vain."""
        return self._ended.get(device, LAPSED) != LAPSED

    def last_words(self, device: str) -> str:
        """How its last registration ended, or why none came about; for people."""
        return self._ended.get(device, "it has never registered")

    def look(self) -> None:
        """End what has expired, and hasten what has gone silent: to be called about every second."""
        now = time.monotonic()
        for registration in list(self.registrations.values()):
            if registration.expires_at <= now:
                self._end(registration.device, EXPIRED)
            elif registration.missed(now) >= MISSED and not registration.told:
                registration.told = True
                self._note(registration)
                self.changed(registration.device)

    def admit(self, known: Mapping[str, Known]) -> None:
        """Let these devices register, and no others from now on."""
        self.known = dict(known)
        for device in [device for device in self.registrations if device not in known]:
            self._end(device, "no longer in the inventory")
        for kept in (self._ended, self._proofs):
            for device in [device for device in kept if device not in known]:
                del kept[device]

    # -- requests ---------------------------------------------------------------------------------------------

    def _answer(self, request: Request, way: Way) -> Response | None:
        method = request.method
        if method == "ACK":
            return None
        if method == "REGISTER":
            return self._register(request, way)
        if method in ("MESSAGE", "NOTIFY"):
            return self._message(request, way)
        if method == "BYE":
            call = self.calls.get(request.call_id)
            return _respond(request, way, 200 if call is not None and call(request) else 481)
        if method == "OPTIONS":
            return _respond(request, way, 200, ("allow", _ALLOWED))
        return _respond(request, way, 481 if method == "CANCEL" else 405, ("allow", _ALLOWED))

    def _register(self, request: Request, way: Way) -> Response:
        device, now = request.recipient.uri.user, time.monotonic()
        proof = request.header("authorization")
        known = self.known.get(device)
        password = None if known is None else known.password.get_secret_value()
        # Whose password it is says the address that is registered: makers let the user's name be another one.
        judgement, _ = self._realm.judge(proof, "REGISTER", lambda _: password, now)
        used, host = self._proofs.get(device, ("", ""))
        if judgement != "good" or known is None or (used == proof and host != way.host):  # overheard by another
            if judgement == "wrong":
                self._refuse("wrong password" if known else "unknown device", device, way)
            # Never 403: after our restart an old proof is wrong too, and a device that is forbidden may not come back.
            stale = judgement in ("stale", "good")
            return _respond(request, way, 401, ("www-authenticate", self._realm.challenge(now, stale=stale)))
        self._proofs[device] = (proof or "", way.host)
        contact = request.header("contact") or ""
        seconds = _expiry(request, contact)
        if seconds == 0:
            self._end(device, "unregistered")
        else:
            self._keep(device, known, way, seconds, request.header("user-agent") or "")
        headers = [("contact", contact)] if contact else []
        return _respond(request, way, 200, *headers, ("expires", str(seconds)), ("date", _date()))

    def _keep(self, device: str, known: Known, way: Way, seconds: int, agent: str) -> None:
        now = time.monotonic()
        old = self.registrations.get(device)
        since = now if old is None else old.since
        way.trusted = True
        made = Registration(device, way, since, now + seconds, known.keepalive, now, agent[:200])
        if old is not None:
            made.state = old.state
        self.registrations[device] = made
        self._arrivals.set()
        self._note(made)
        if old is None:
            log.info("gb28181.registered", device=device, host=way.host, expires=seconds)
        if old is None or old.told or old.awaited:
            self.changed(device)

    def _end(self, device: str, reason: str) -> None:
        ended = self.registrations.pop(device, None)
        if ended is not None:
            log.info("gb28181.ended", device=device, reason=reason)
            if device in self.known:
                self._ended[device] = LAPSED if reason == EXPIRED and ended.resumed else reason
            self.keep(device, {})
            self.changed(device)

    def _note(self, registration: Registration) -> None:
        """Have kept what a restart would forget."""
        way, ahead = registration.way, _wall() - time.monotonic()
        kept = Kept(
            self._mark(registration.device),
            way.host,
            way.port,
            way.transport == "TCP",
            registration.since + ahead,
            registration.heard_at + ahead,
            registration.expires_at + ahead,
            registration.told,
        )
        self.keep(registration.device, kept.memory())

    def _mark(self, device: str) -> int:
        return mark_of(*self.place, self.identity.server_id, self.identity.domain, device)

    def _message(self, request: Request, way: Way) -> Response:
        registration = self._sender(request, way)
        if registration is None:
            self.refusals["not registered"] += 1
            return _respond(request, way, 403)
        command, number = peek(request.body)
        if command == "Keepalive":
            self._keepalive(registration, request.body, way)
        elif number is not None:
            hear = self._hearing.get((registration.device, command, number))
            if hear is not None:
                hear(request.body)
        return _respond(request, way, 200)

    def _keepalive(self, registration: Registration, body: bytes, way: Way) -> None:
        now = time.monotonic()
        late, registration.told = registration.told or registration.awaited, False
        # The same host from another port, or in another connection: a router in between has forgotten the old one.
        way.trusted = True
        registration.heard_at, registration.way, registration.resumed = now, way, False
        self._arrivals.set()
        if len(body) <= MAX_KEEPALIVE_BYTES:
            with contextlib.suppress(MalformedBody):
                registration.state = parse(body).fields.get("Status", "")[:40]
        self._note(registration)
        if late:
            self.changed(registration.device)

    def _sender(self, request: Request, way: Way) -> Registration | None:
        """Whose request it is: From says it, and the host has to be the one that registered."""
        try:
            user = request.sender.uri.user
        except MalformedMessage:
            user = ""
        found = self.registrations.get(user)
        if found is not None and found.way.host == way.host:
            return found
        places = (one for one in self.registrations.values() if (one.way.host, one.way.port) == (way.host, way.port))
        return next(places, None)

    def _refuse(self, reason: str, device: str, way: Way) -> None:
        self.refusals[reason] += 1
        if device in self.known and device not in self.registrations:
            self._ended[device] = f"it tried with a {reason} from {way.host}"
        if (reason, device) not in self._logged and len(self._logged) < MAX_NAMES_LOGGED:
            self._logged.add((reason, device))
            log.warning("gb28181.refused", reason=reason, device=device[:40], host=way.host)


def _respond(request: Request, way: Way, status: int, *headers: tuple[str, str]) -> Response:
    return respond(request, status, tag=new_tag(), source=(way.host, way.port), headers=[AGENT, *headers])


def _expiry(request: Request, contact: str) -> int:
    """Seconds that the device asks for (RFC 3261, 10.2.1.1), no more than ``MAX_EXPIRY``."""
    try:
        told = Address.parse(contact).parameters.get("expires")
    except MalformedMessage:
        told = None
    text = (told or request.header("expires") or "").strip()
    return min(int(text), MAX_EXPIRY) if text.isascii() and text.isdigit() and len(text) < 12 else USUAL_EXPIRY


def _date() -> str:
    """Beijing time to the millisecond, by which devices set their clocks (GB/T 28181-2016, 9.10)."""
    now = datetime.fromtimestamp(_wall(), _BEIJING)
    return now.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _wall() -> float:
    return time.time()  # noqa: TID251 - what devices set their clocks by, and what is kept over a restart
