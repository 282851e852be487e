"""The device's services: operations in SOAP (ONVIF Core Specification), with the login that it asks for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from sentinel.domain.target import Target
from sentinel.protocols.onvif.client import Answer, Client, Credentials
from sentinel.protocols.onvif.options import OnvifOptions
from sentinel.sdk.protocol import Run
from sentinel.wire.soap import Element, Fault, MalformedMessage, compose, content_type, parse
from sentinel.wire.ws_security import username_token

DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
SCHEMA: Final = "http://www.onvif.org/ver10/schema"

_CODES: Final = {401: "unauthorized", 403: "forbidden", 404: "not_found", 410: "not_found", 453: "busy", 503: "busy"}
# ONVIF's own (ter:), and those of WS-Security 1.1, 12.
_NOT_AUTHORIZED: Final = frozenset({"NotAuthorized", "FailedAuthentication", "InvalidSecurity", "FailedCheck"})
_UNSUPPORTED: Final = frozenset({"ActionNotSupported", "OptionalActionNotImplemented", "NoSuchService"})
_NOT_FOUND: Final = frozenset({"NoProfile", "NoEntity"})
_LARGE: Final = 65_536  # bytes, past which a message is read beside the loop
_LOGINS: Final = 3  # without one, by a token, by HTTP


class Denied(Exception):
    """The device asks for a login, and the check has none: it is alive."""


class Unsupported(Exception):
    """The device says that it does not know the operation; the text is its own."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation gave.  ``asked_at`` and ``answered_at`` are seconds of our wall clock."""

    content: Element
    asked_at: float
    answered_at: float


class Device:
    """One run's view of one device, which is asked over one connection."""

    def __init__(self, run: Run, target: Target, options: OnvifOptions) -> None:
        self.credentials: Credentials | None = None
        if options.username is not None and options.password is not None:
            self.credentials = Credentials(options.username, options.password.get_secret_value())
        self.client = Client(run, (target.address, options.port), options, self.credentials)
        self.ahead = 0.0
        """Seconds by which the device's clock is ahead of ours, as far as that is known."""
        self.run, self.target, self.options = run, target, options
        self._token = False

    async def ask(
        self, stage: str, path: str, namespace: str, operation: str, inside: str = "", *, bare: bool = False
    ) -> Reply:
        """One operation; ``inside`` is the XML in its request.

        It is sent with the login that has been found to work, else with a token; ``bare``, without one at first, is
        for what everybody may ask (5.9.4.3).

        Raises:
            Denied: the device asks for a login, and the check has none.
            Unsupported: the device does not know the operation.
            ProbeFailed: of the stage.
        """
        if not bare and self.credentials is not None and self.client.login is None:
            self._token = True
        body = f'<{operation} xmlns="{namespace}">{inside}</{operation}>'
        headers = {"Content-Type": content_type(f"{namespace}/{operation}")}
        for _ in range(_LOGINS):
            asked_at = _now()
            answer = await self.client.ask(
                stage, "POST", path, headers, compose(body, self._header()), limit=self.options.max_answer_bytes
            )
            answered_at = _now()
            with self.run.stage(stage):
                content = await self._content(answer, operation)
            if isinstance(content, Element):
                return Reply(content, asked_at, answered_at)
            if not self._may_log_in(answer, (asked_at + answered_at) / 2):
                break
        if self.credentials is not None:
            self.run.values["authorized"] = 0.0
            self.run.fail("unauthorized", f"{operation}: {content or answer}", stage=stage)
        raise Denied

    def _header(self) -> str:
        if not self._token or self.credentials is None:
            return ""
        created = datetime.fromtimestamp(_now(), UTC) + timedelta(seconds=self.ahead)
        return username_token(self.credentials.username, self.credentials.password, created)

    def _may_log_in(self, answer: Answer, now: float) -> bool:
        if self.credentials is None:
            return False
        if self.client.log_in(answer):
            self._token = False  # one of the two, not both
            return True
        if self._token or self.client.login is not None:
            return False  # it has seen the password, and does not take it
        self._token = True
        if not self.ahead:  # one that does not tell its time to everybody may put it into its answers
            self.ahead = _date_of(answer, now)
        return True

    async def _content(self, answer: Answer, operation: str) -> Element | Fault | None:
        """The response; None or a fault where the device asks for a login."""
        run = self.run
        try:
            large = len(answer.body) > _LARGE
            content = await asyncio.to_thread(parse, answer.body) if large else parse(answer.body)
        except MalformedMessage as error:
            if answer.status == 401:
                return None
            if answer.ok:
                run.fail("protocol_error", f"{operation}: {error}")
            demand(run, answer, operation)
        if isinstance(content, Fault):
            return self._refused(answer, content, operation)
        if answer.status == 401:
            return None
        demand(run, answer, operation)
        if content.name != f"{operation}Response":
            run.fail("protocol_error", f"{operation}: answered with {content.name!r}")
        return content

    def _refused(self, answer: Answer, fault: Fault, operation: str) -> Fault:
        """The fault itself, where it asks for a login."""
        codes = set(fault.codes)
        if codes & _UNSUPPORTED:
            raise Unsupported(str(fault))
        if answer.status != 401 and not codes & _NOT_AUTHORIZED:
            known = "not_found" if codes & _NOT_FOUND else "bad_status"
            self.run.fail("forbidden" if "OperationProhibited" in codes else known, f"{operation}: {fault}")
        return fault


def demand(run: Run, answer: Answer, asked: str) -> None:
    """Go on only with a 2xx answer; a redirect is none: it may lead to another host, where our login has no business.

    Raises:
        ProbeFailed: with the code that the status means.
    """
    if answer.status == 401:
        run.values["authorized"] = 0.0
    if not answer.ok:
        run.fail(_CODES.get(answer.status, "bad_status"), f"{asked}: {answer}")


def _now() -> float:
    return time.time()  # noqa: TID251 - what is measured is the device's wall clock against ours


def _date_of(answer: Answer, now: float) -> float:
    """Seconds by which a Date header (RFC 9110, 6.6.1) is ahead, 0 where there is none that can be read."""
    try:
        date = parsedate_to_datetime(answer.header("date")[:64])
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now
    except (ValueError, OverflowError, IndexError, TypeError):
        return 0.0
