"""Heartbeat: does the target still report by itself, and in time?

A device, a cron job or a mobile unit calls the daemon's own web server, with whatever can fetch a page:

    curl -fsS --retry 3 https://SENTINEL/heartbeat/TOKEN            all is well
    curl -fsS https://SENTINEL/heartbeat/TOKEN/start                a run begins: its duration is measured
    curl -fsS https://SENTINEL/heartbeat/TOKEN/fail                 it failed; so does any exit status but 0:
    job; curl -fsS https://SENTINEL/heartbeat/TOKEN/$?

Late is a failure.  Word is due ``every`` so often, or by ``cron``, and ``grace`` later it is late; a run that was
announced has ``grace`` to end.  A check of which nothing was heard yet is good until then.  Over a restart of the
daemon nothing is forgotten; what was due while nobody listened gets a new date.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from cronsim import CronSim, CronSimError
from pydantic import Field, SecretStr, field_validator, model_validator

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check, Target
from sentinel.sdk.protocol import Call, Inbox, Options, Protocol, Run, Value
from sentinel.sdk.quantities import Duration

log = structlog.get_logger(__name__)

TOKEN_LENGTH: Final = 16
"""Characters that a token has at least: it is all that a caller has to know."""

_CLOCK_STEP: Final = 1.0
"""Seconds by which the wall clock may wander from the monotonic one; more means that it was set."""

_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")


class HeartbeatOptions(Options):
    """When word is due; one of ``every`` and ``cron``."""

    token: Annotated[SecretStr, Field(min_length=TOKEN_LENGTH, max_length=128)] = Field(
        description="What the caller puts into the address: at least 16 letters, digits, `-`, `.`, `_` or `~`, of its "
        "own for each check. Use `${credential:…}`."
    )
    every: Annotated[Duration, Field(ge=1, le=366 * 86_400)] | None = Field(
        default=None, description="Word is due so long after the last."
    )
    cron: str | None = Field(
        default=None,
        max_length=200,
        description="Word is due at these times: minute, hour, day, month, weekday, as in `30 2 * * *`.",
    )
    timezone: str = Field(
        default="Asia/Shanghai",
        max_length=64,
        description="Time zone of `cron`; where its clocks change, as Debian's cron does it.",
    )
    grace: Annotated[Duration, Field(ge=0, le=366 * 86_400)] = Field(
        default=60.0, description="After that it is late; a run that was announced by `/start` has as long to end."
    )

    @field_validator("token")
    @classmethod
    def _addressable(cls, token: SecretStr) -> SecretStr:
        if not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("it stands in an address: letters, digits, `-`, `.`, `_` and `~` only")
        return token

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"unknown time zone {name[:64]!r}; Asia/Shanghai is one") from None
        return name

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if (self.every is None) == (self.cron is None):
            raise ValueError("either `every` or `cron`")
        if self.cron is not None:
            try:
                next(CronSim(self.cron, datetime(2026, 1, 1, tzinfo=ZoneInfo(self.timezone))))
            except CronSimError as error:
                raise ValueError(f"`cron`: {error}") from None
            except StopIteration:
                raise ValueError("`cron`: it never comes") from None
        return self

    def due(self, after: float) -> float:
        """When word is due next, both UTC epoch seconds."""
        if self.cron is None:
            return after + (self.every or 0.0)
        try:
            return next(CronSim(self.cron, datetime.fromtimestamp(after, ZoneInfo(self.timezone)))).timestamp()
        except StopIteration:  # not within fifty years
            return after + 366 * 86_400


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What was heard of a check, UTC epoch seconds; 0 for never.

    ``at`` is the last success, ``due`` when the next is, ``started`` when the run under way was announced, ``failed``
    when a failure was reported after the last success.  ``duration`` is that of the last whole run, seconds, negative
    without one.  ``late`` is 1 once it was found late.
    """

    due: float
    at: float = 0.0
    started: float = 0.0
    failed: float = 0.0
    duration: float = -1.0
    late: float = 0.0

    def memory(self) -> dict[str, float]:
        """As it is kept over a restart."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, memory: Mapping[str, float]) -> Rhythm | None:
        """From what was kept; None where that is nothing."""
        return cls(**{name: memory[name] for name in cls.__slots__ if name in memory}) if "due" in memory else None

    def ends(self, grace: float) -> float:
        """When it is late."""
        return min(self.due, self.started or self.due) + grace

    def shifted(self, seconds: float) -> Rhythm:
        """After the wall clock was set by so much: what was ago so long is ago as long."""
        moved = {name: at + seconds for name in ("due", "at", "started", "failed") if (at := getattr(self, name))}
        return replace(self, **moved)

    def resumed(self, options: HeartbeatOptions, now: float) -> Rhythm:
        """After a time in which nobody listened: word that was due in it may have come.

        What was late before stays late, and what is due from now on stays due.
        """
        if self.late or self.failed or (self.due > now and self.ends(options.grace) > now):
            return self
        return replace(self, due=self.due if self.due > now else options.due(now), started=0.0)

    def heard(self, word: str, options: HeartbeatOptions, now: float) -> Rhythm:
        """After word came: ``start``, ``fail``, or nothing more than that all is well."""
        if word == "start":
            return replace(self, started=now)
        duration = max(0.0, now - self.started) if self.started else self.duration
        if word == "fail":
            return replace(self, failed=now, started=0.0, duration=duration)
        return Rhythm(options.due(now), now, duration=duration)

    def failure(self, options: HeartbeatOptions, now: float) -> Failure | None:
        """What is wrong, None where nothing is."""
        if self.failed:
            return Failure("heartbeat", "reported", f"{now - self.failed:.0f} s ago")
        over = now - self.ends(options.grace)
        if over < 0 and not self.late:
            return None
        if self.started:
            return Failure("heartbeat", "late", f"a run began {now - self.started:.0f} s ago and did not end")
        heard = f"last heard {now - self.at:.0f} s ago" if self.at else "never heard"
        return Failure("heartbeat", "late", f"{heard}, late by {max(0.0, over):.0f} s")

    def values(self, now: float) -> dict[str, float]:
        """What is known of it."""
        found = {"age_seconds": max(0.0, now - self.at)} if self.at else {}
        return found | ({"duration_seconds": self.duration} if self.duration >= 0 else {})


class Listener:
    """The value of the protocol's service: every check's rhythm, and the alarm for when it ends."""

    def __init__(self) -> None:
        self._inbox: Inbox | None = None
        self._checks: dict[str, Check] = {}
        self._rhythms: dict[str, Rhythm] = {}
        self._alarms: dict[str, asyncio.TimerHandle] = {}
        # Looked up by a keyed digest: how long that takes says nothing of how much of a token was right.
        self._key = secrets.token_bytes(32)
        self._tokens: dict[bytes, str] = {}
        self._offset = self._wall() - time.monotonic()

    def attach(self, inbox: Inbox) -> None:
        """Listen for these checks from now on."""
        now = self._now()
        self._inbox = inbox
        before, self._checks = self._checks, {check.id: check for check in inbox.checks()}
        self._tokens = {}
        for gone in self._rhythms.keys() - self._checks.keys():
            self._rhythms.pop(gone)
            self._alarms.pop(gone).cancel()
        for check in self._checks.values():
            options: HeartbeatOptions = check.options
            digest = self._digest(options.token.get_secret_value())
            if (other := self._tokens.setdefault(digest, check.id)) != check.id:
                log.error("heartbeat.token_taken", check=check.id, by=other)
            known = self._rhythms.get(check.id)
            old = before.get(check.id)
            if known is None:
                known = (Rhythm.of(inbox.kept(check.id)) or Rhythm(options.due(now))).resumed(options, now)
            elif old is not None and _agreed(old.options) != _agreed(options):
                known = replace(known, due=options.due(known.at or now), late=0.0)
            self._set(check, known)

    def take(self, call: Call) -> int:
        """A call at the web server; the status of the answer."""
        token, _, word = call.path.partition("/")
        check = self._checks.get(self._tokens.get(self._digest(token), ""))
        word = {"0": "", "": ""}.get(word, "fail" if word.isascii() and word.isdigit() and len(word) < 4 else word)
        if check is None or self._inbox is None or word not in {"", "start", "fail"}:
            return 404
        now = self._now()
        rhythm = self._rhythms[check.id].heard(word, check.options, now)
        self._set(check, rhythm)
        if word != "start":
            failure = rhythm.failure(check.options, now)
            self._inbox.report(check.id, Measurement(0.0, failure, {}, rhythm.values(now)))
        return 200

    def look(self, check: Check) -> tuple[Rhythm, Failure | None, float]:
        """How a check stands now, what is wrong with it, and the time, UTC epoch seconds.

        Raises:
            KeyError: nobody listens for it.
        """
        now = self._now()
        rhythm = self._rhythms[check.id]
        failure = rhythm.failure(check.options, now)
        if failure is not None and failure.code == "late" and not rhythm.late:
            rhythm = replace(rhythm, late=1.0)
            self._set(check, rhythm)
        return rhythm, failure, now

    def find(self, target: Target, options: HeartbeatOptions) -> Check | None:
        """The check with this token."""
        check = self._checks.get(self._tokens.get(self._digest(options.token.get_secret_value()), ""))
        return check if check is not None and check.target.id == target.id else None

    def close(self) -> None:
        """Listen no more."""
        for alarm in self._alarms.values():
            alarm.cancel()

    def _set(self, check: Check, rhythm: Rhythm) -> None:
        self._rhythms[check.id] = rhythm
        if check.id in self._alarms:
            self._alarms.pop(check.id).cancel()
        if self._inbox is None:
            return
        self._inbox.keep(check.id, rhythm.memory())
        # A year at most: a loop's timers do not reach further, and the check's own probe comes long before.
        wait = min(max(0.0, rhythm.ends(check.options.grace) - self._wall()) + 0.05, 31_536_000.0)
        self._alarms[check.id] = asyncio.get_running_loop().call_later(wait, self._inbox.hasten, check.id)

    def _now(self) -> float:
        now = self._wall()
        offset = now - time.monotonic()
        step, self._offset = offset - self._offset, offset
        if not -_CLOCK_STEP < step < _CLOCK_STEP:
            for name, rhythm in self._rhythms.items():
                moved = rhythm.shifted(step)
                check = self._checks[name]
                if check.options.cron is not None and not rhythm.late:
                    moved = replace(moved, due=check.options.due(now))
                self._set(check, moved)
        return now

    @staticmethod
    def _wall() -> float:
        return time.time()  # noqa: TID251 - cron's times, and what is kept over a restart, are of the wall

    def _digest(self, token: str) -> bytes:
        return hashlib.blake2b(token.encode("utf-8", "surrogateescape"), key=self._key, digest_size=32).digest()


def _agreed(options: HeartbeatOptions) -> tuple[object, ...]:
    return options.every, options.cron, options.timezone


@asynccontextmanager
async def service() -> AsyncIterator[Listener]:
    """Listen while the block runs."""
    listener = Listener()
    try:
        yield listener
    finally:
        listener.close()


async def probe(target: Target, options: HeartbeatOptions, run: Run) -> None:
    """Look at what was heard: nothing is sent."""
    listener: Listener | None = run.service
    check = listener.find(target, options) if listener is not None else None
    if listener is None or check is None:
        run.fail("no_vantage", "this is not the daemon that is called, or another check has its token", stage="vantage")
    with run.stage("heartbeat"):
        rhythm, failure, now = listener.look(check)
        run.values.update(rhythm.values(now))
        if not rhythm.at:
            run.facts["heard"] = "never"
        if failure is not None:
            run.fail(failure.code, failure.detail)


PROTOCOL = Protocol(
    "heartbeat",
    HeartbeatOptions,
    probe,
    values=(
        Value("age_seconds", "s", "Since word last came that all is well."),
        Value("duration_seconds", "s", "Of the last run that was announced and ended."),
    ),
    service=service,
    attach=Listener.attach,
    intake=Listener.take,
    transport="local",
)
