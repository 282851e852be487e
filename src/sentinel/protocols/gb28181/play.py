"""The live picture of what has registered with us: INVITE, first packet, first key frame, picture, BYE."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sentinel.picture import Undecodable, Viewing, examine, telling
from sentinel.protocols.gb28181.asking import code_of
from sentinel.protocols.gb28181.call import Call
from sentinel.protocols.gb28181.media import Reception
from sentinel.protocols.gb28181.offer import OFFERED, Answer, answered, offer, ssrc_of
from sentinel.protocols.gb28181.options import Gb28181Options
from sentinel.protocols.gb28181.receivers import Receiver
from sentinel.protocols.gb28181.registrar import Registrar, Registration
from sentinel.protocols.gb28181.service import Service
from sentinel.sdk.protocol import Run
from sentinel.wire.sdp import MalformedDescription

LAST_WORD: Final = 0.2
"""Seconds kept of the time to say what came in place of a picture, but at most a twentieth of what is left."""
EXAMINING: Final = 0.5
"""Seconds kept for examining what was watched."""


async def play(
    service: Service, registrar: Registrar, registration: Registration, options: Gb28181Options, run: Run
) -> None:
    """Fetch one picture; the call is ended behind the probe's back, whatever becomes of it."""
    began = time.monotonic()
    with run.stage("prepare"), telling(run):
        if options.watch and run.left <= options.watch:
            run.fail("bad_option", f"watch is {options.watch:g} s: the timeout has to be longer")
        await service.pool.prepare()
    viewing = Viewing(options.watch)
    meanings = dict(OFFERED)
    reception = Reception(viewing, options.max_key_frame_bytes, meanings, reorders=options.media == "udp")
    call = Call(registrar, registration, options.wanted, reception.wake)
    receiver = Receiver(options.media, registration.way.local[0], reception.receive, reception.wake)
    try:
        with run.stage("prepare"):
            await _open(receiver, options, run)
        ssrc = ssrc_of(options.server_id, registrar.next_number())
        with run.stage("invite"):
            answer = await _invite(call, receiver, options, ssrc, run)
            meanings.update(answer.meanings)
        if options.media == "tcp-active":
            with run.stage("connect"):
                await receiver.connect(answer.host, answer.port)
        try:
            await _Watching(service, call, receiver, reception, options, run).go(began)
        finally:
            _put_down(reception, viewing, int(ssrc), answer, run)
    finally:
        receiver.close()
        service.say_goodbye(call.farewell())


async def _open(receiver: Receiver, options: Gb28181Options, run: Run) -> None:
    try:
        await receiver.open(options.media_range)
    except OSError as error:
        run.fail("no_resource", f"no port for the picture: {error.strerror or error}")


async def _invite(call: Call, receiver: Receiver, options: Gb28181Options, ssrc: str, run: Run) -> Answer:
    body = offer(options.server_id, options.media_address or receiver.address, receiver.port, options.media, ssrc)
    response = await call.invite(body, f"{options.wanted}:{ssrc},{options.server_id}:0")
    if response.status >= 300:
        run.fail(code_of(response.status), f"{response.status} {response.reason}".rstrip())
    try:
        return answered(response.body)
    except MalformedDescription as error:
        run.fail("protocol_error", f"the answer to INVITE: {error}")


@dataclass(frozen=True, slots=True)
class _Watching:
    """From the answer to the picture."""

    service: Service
    call: Call
    receiver: Receiver
    reception: Reception
    options: Gb28181Options
    run: Run

    async def go(self, began: float) -> None:
        run, reception, viewing = self.run, self.reception, self.reception.viewing
        with run.stage("first_packet"):
            await self._until("no_packets", lambda: bool(reception.packets))
        for left in reversed(range(self.options.key_frame_tries)):
            with run.stage("first_key_frame"):
                await self._until("no_key_frame", lambda: bool(viewing.shots or reception.too_large))
                if not viewing.shots:
                    run.fail("too_large", reception.too_large)
            if self.options.watch:
                with run.stage("watch"):
                    await self._watch(began)
            with run.stage("picture"), telling(run):
                try:
                    await self._examine()
                except Undecodable as error:
                    if not left:
                        raise
                    reception.last_error = str(error)
                    viewing.drop()
                else:
                    run.values.setdefault("picture_seconds", time.monotonic() - began)
                    return

    async def _examine(self) -> None:
        codec, shots = self.reception.codec or "", self.reception.viewing.shots
        await examine(
            self.run, self.service.pool, self.options, codec, shots, seconds=max(0.0, self.run.left - self._keep / 2)
        )

    async def _watch(self, began: float) -> None:
        """See the stream for as long as is asked; what was seen counts where it ends before."""
        viewing = self.reception.viewing
        self.run.values.setdefault("picture_seconds", time.monotonic() - began)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self.run.left - self._keep - EXAMINING)):
                await self.reception.progress(lambda: viewing.satisfied or self._gone)

    async def _until(self, code: str, reached: Callable[[], bool]) -> None:
        """Wait for what makes the picture; fails with ``code`` a little before the runner's deadline would."""
        run, reception = self.run, self.reception
        try:
            async with asyncio.timeout(max(0.0, run.left - self._keep)):
                await reception.progress(lambda: reached() or self._gone)
        except TimeoutError:
            if not reception.packets and reception.malformed:
                run.fail("protocol_error", f"no RTP: {reception.story()}")
            if code == "no_key_frame" and reception.foreign_codec:
                run.fail("no_video", f"the video is {reception.declared}: {reception.story()}")
            if code == "no_key_frame" and reception.sound and not reception.viewing.pictures:
                run.fail("no_video", f"sound runs, and no video comes: {reception.story()}")
            run.fail(code, reception.story())
        if not reached():
            run.fail("closed", f"the device ended it: {reception.story()}")

    @property
    def _gone(self) -> bool:
        return self.call.hung_up or self.receiver.ended

    @property
    def _keep(self) -> float:
        return min(LAST_WORD, self.run.left / 20)


def _put_down(reception: Reception, viewing: Viewing, ssrc: int, answer: Answer, run: Run) -> None:
    run.values |= {
        "packets": reception.packets,
        "lost_packets": reception.lost,
        "malformed_packets": reception.malformed,
        **viewing.values,
    }
    if reception.ssrc is not None:
        run.values["ssrc_mismatch"] = float(reception.ssrc != ssrc)
        run.facts["payload_type"] = str(reception.payload_type)
    facts = {
        "container": reception.container or "",
        "declared": reception.declared or "",
        "ssrc": f"{reception.ssrc:010d}, asked for {ssrc:010d}" if reception.ssrc not in (None, ssrc) else "",
        "answered_ssrc": f"{answer.ssrc:010d}" if answer.ssrc not in (None, ssrc) else "",
    }
    run.facts.update({name: text for name, text in facts.items() if text})
