"""Requests of ours on their way to a peer: sent again until it answers, told apart by their branches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from sentinel.protocols.gb28181.listening import Way
from sentinel.wire.sip import Dialog, Request, Response, build, new_branch, new_call_id, new_tag
from sentinel.wire.sip_headers import Via, bracketed
from sentinel.wire.sip_transaction import ClientTransaction

Take = Callable[[Response], None]

AGENT: Final = ("user-agent", "sentinel")

_CODES: Final = {
    401: "unauthorized",
    407: "unauthorized",
    403: "forbidden",
    404: "not_found",
    486: "busy",
    488: "unsupported",
    503: "busy",
    600: "busy",
}


def code_of(status: int) -> str:
    """The failure that a final answer means."""
    return _CODES.get(status, "bad_status")


class Asking:
    """What waits for answers, by branch."""

    def __init__(self) -> None:
        self._waiting: dict[str, Take] = {}

    def expect(self, branch: str, take: Take) -> None:
        """Have ``take`` called with every answer to a branch."""
        self._waiting[branch] = take

    def forget(self, branch: str) -> None:
        """No more of them."""
        self._waiting.pop(branch, None)

    def take(self, response: Response) -> None:
        """Take an answer; one that nobody waits for is dropped.

        Raises:
            MalformedMessage: its Via cannot be read.
        """
        vias = response.vias
        take = self._waiting.get(vias[0].branch) if vias else None
        if take is not None:
            take(response)

    def send(self, request: Request, way: Way) -> Pending:
        """Send a request that is no INVITE; the caller closes what comes back."""
        return Pending(self, request, way)


class Pending:
    """A request whose answer is awaited: ``await pending.answer``.  It is sent again as RFC 3261, 17.1.2 tells."""

    def __init__(self, asking: Asking, request: Request, way: Way) -> None:
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Response] = loop.create_future()
        self._asking, self._way, self._request = asking, way, request
        self._transaction = ClientTransaction(request, way.transport == "TCP", loop.time())
        self._branch = request.vias[0].branch
        self._timer: asyncio.TimerHandle | None = None
        asking.expect(self._branch, self._take)
        way.send(request.encode())
        self._wait()

    def close(self) -> None:
        """Wait no more."""
        self._asking.forget(self._branch)
        if self._timer is not None:
            self._timer.cancel()
        self.answer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._transaction.due, self._due)

    def _due(self) -> None:
        if self.answer.done():
            return
        try:
            repeats = self._transaction.repeats(asyncio.get_running_loop().time())
        except TimeoutError as error:
            self.answer.set_exception(error)
            return
        if repeats:
            self._way.send(self._request.encode())
        self._wait()

    def _take(self, response: Response) -> None:
        taken = self._transaction.takes(response)
        if taken is not None and taken.final and not self.answer.done():
            self.answer.set_result(taken)


def request_to(
    method: str,
    device: str,
    way: Way,
    *,
    ours: str,
    domain: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Request:
    """A request outside a dialog, from our number to a device's over its way."""
    dialog = Dialog(f"<sip:{ours}@{domain}>;tag={new_tag()}", f"<sip:{device}@{domain}>", new_call_id())
    uri = f"sip:{device}@{bracketed(way.host)}:{way.port}"
    return build(method, uri, dialog, via=via_of(way), number=1, headers=[AGENT, *headers], body=body)


def via_of(way: Way) -> Via:
    """Where answers to a request over this way come to, with a branch of its own."""
    host, port = way.local
    return Via(way.transport, host, port, {"rport": None, "branch": new_branch()})
