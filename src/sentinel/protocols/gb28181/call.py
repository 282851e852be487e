"""One INVITE and what follows of it, to the BYE that always comes (RFC 3261, 13, 15 and 17.1.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from sentinel.protocols.gb28181.asking import AGENT, via_of
from sentinel.protocols.gb28181.registrar import Registrar, Registration
from sentinel.wire.sip import Dialog, Request, Response, build, new_call_id, new_tag
from sentinel.wire.sip_headers import bracketed
from sentinel.wire.sip_transaction import T1

FAREWELL_SECONDS: Final = 64 * T1
"""A device that does not answer is told BYE or CANCEL for so long: the life of a transaction (17.1.1.2, timer B)."""


class Call:
    """A live picture that a device is asked for; whoever makes one runs ``farewell`` at its end, whatever happened."""

    def __init__(
        self, registrar: Registrar, registration: Registration, channel: str, ended: Callable[[], None]
    ) -> None:
        self.hung_up = False
        """The device has ended the call; ``ended`` was called then."""
        self._ended = ended
        self._registrar, self._way = registrar, registration.way
        way, ours = self._way, registrar.identity
        host, port = way.local
        self._uri = f"sip:{channel}@{bracketed(way.host)}:{way.port}"
        sender = f"<sip:{ours.server_id}@{ours.domain}>;tag={new_tag()}"
        self._dialog = Dialog(sender, f"<sip:{channel}@{ours.domain}>", new_call_id())
        self._contact = f"<sip:{ours.server_id}@{bracketed(host)}:{port}>"
        self._state: Literal["idle", "calling", "proceeding", "up", "over"] = "idle"
        self._request: Request | None = None
        self._final: Response | None = None
        self._news = asyncio.Event()

    async def invite(self, body: bytes, subject: str) -> Response:
        """Ask for the picture; the final answer, acknowledged, whatever it is.

        Sent again over UDP at T1, doubling, until something is heard (17.1.1.2).
        """
        way = self._way
        headers = [
            AGENT,
            ("contact", self._contact),
            ("subject", subject),
            ("content-type", "APPLICATION/SDP"),
        ]
        request = build("INVITE", self._uri, self._dialog, via=via_of(way), number=1, headers=headers, body=body)
        self._request, self._state = request, "calling"
        self._registrar.asking.expect(request.vias[0].branch, self._take)
        self._registrar.calls[self._dialog.call_id] = self._bye
        pause = T1
        while self._final is None:
            if self._state == "calling":
                way.send(request.encode())
            self._news.clear()
            try:
                async with asyncio.timeout(pause if self._repeats else None):
                    await self._news.wait()
            except TimeoutError:
                pause *= 2
        return self._final

    async def farewell(self) -> None:
        """CANCEL what was not answered yet, BYE what was; ends within ``FAREWELL_SECONDS``."""
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                if self._state in ("calling", "proceeding"):
                    await self._cancel()
                if self._state == "up" and not self.hung_up:
                    await self._hang_up()
        except TimeoutError:
            pass  # it was told, and does not answer: its own session timer has to end it
        finally:
            self._state = "over"
            self._registrar.calls.pop(self._dialog.call_id, None)
            if self._request is not None:
                self._registrar.asking.forget(self._request.vias[0].branch)

    @property
    def _repeats(self) -> bool:
        return self._state == "calling" and self._way.transport == "UDP"

    def _take(self, response: Response) -> None:
        """Every answer to the INVITE, also one that comes again because our ACK was lost."""
        if response.call_id != self._dialog.call_id or response.cseq[1] != "INVITE":
            return
        if not response.final:
            if self._state == "calling":
                self._state = "proceeding"
        else:
            if self._final is None:
                self._final = response
                self._state = "up" if response.status < 300 else "over"
            self._acknowledge(response)
        self._news.set()

    def _acknowledge(self, response: Response) -> None:
        invite = self._request
        if invite is None:
            return
        # 17.1.1.3: of a refusal it belongs to the same transaction; 13.2.2.4: of an acceptance to one of its own.
        via = via_of(self._way) if response.status < 300 else invite.vias[0]
        dialog = Dialog(self._dialog.sender, response.header("to") or str(self._dialog.recipient), self._dialog.call_id)
        self._way.send(build("ACK", self._uri, dialog, via=via, number=1, headers=[AGENT]).encode())

    def _bye(self, request: Request) -> bool:
        """A BYE of this Call-ID; the device's own where the tags are this dialog's."""
        if self._final is None or request.sender.tag != self._final.recipient.tag:
            return False
        self.hung_up = True
        self._ended()
        self._news.set()
        return True

    async def _cancel(self) -> None:
        invite = self._request
        if invite is None:
            return
        while self._state == "calling":  # 9.1: nothing is cancelled before something was heard
            self._news.clear()
            await self._news.wait()
        if self._state != "proceeding":
            return
        cancel = build("CANCEL", self._uri, self._dialog, via=invite.vias[0], number=1, headers=[AGENT])
        pause = T1
        while self._state == "proceeding":
            self._way.send(cancel.encode())
            self._news.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                pause *= 2

    async def _hang_up(self) -> None:
        recipient = self._final.header("to") if self._final is not None else None
        dialog = Dialog(self._dialog.sender, recipient or str(self._dialog.recipient), self._dialog.call_id)
        bye = build("BYE", self._uri, dialog, via=via_of(self._way), number=2, headers=[AGENT])
        pending = self._registrar.asking.send(bye, self._way)
        try:
            await pending.answer
        finally:
            pending.close()
