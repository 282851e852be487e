"""GB/T 28181: is the platform or device there, does it know its cameras, does a live picture come?

Of a platform above: OPTIONS, or REGISTER up to its challenge or all the way.  Of what registers with us: its
registration and keep-alives, its catalogue, its status, and a live picture by INVITE.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from sentinel.domain.target import Target
from sentinel.protocols.gb28181.options import Gb28181Options
from sentinel.protocols.gb28181.platform import ask_options, ask_register
from sentinel.protocols.gb28181.play import play
from sentinel.protocols.gb28181.questions import catalog, status
from sentinel.protocols.gb28181.registrar import Registrar, Registration
from sentinel.protocols.gb28181.service import CannotListen, Service
from sentinel.sdk.protocol import Run

LAST_WORD: Final = 0.2
"""Seconds of the deadline kept to say that nobody has registered, but at most a twentieth of what is left."""


async def probe(target: Target, options: Gb28181Options, run: Run) -> None:
    """Measure what the mode says; the service is ``service.Service``."""
    if options.mode == "options":
        await ask_options(target, options, run)
        return
    if options.mode == "register":
        await ask_register(target, options, run)
        return
    service: Service = run.service
    with run.stage("prepare"):
        try:
            registrar = await service.registrar(options)
        except CannotListen as error:
            run.fail(error.code, str(error))
    registration = await _registration(registrar, options, run)
    if options.mode == "catalog":
        await catalog(registrar, registration, options, run)
    elif options.mode == "status":
        await status(registrar, registration, options, run)
    elif options.mode == "play":
        await play(service, registrar, registration, options, run)


async def _registration(registrar: Registrar, options: Gb28181Options, run: Run) -> Registration:
    """The device's registration; while our registrar is young, one that comes before the deadline."""
    device = options.device or ""
    with run.stage("register"):
        listened = time.monotonic() - registrar.listening.since
        young = listened < options.warm_up
        found = registrar.registrations.get(device)
        # A connection ended with the daemon's last run: to be registered, the device need not have come back yet.
        if young and (found is None or (found.awaited and options.mode != "registered")):
            found = await _arrival(registrar, device, run)
        run.values["registered"] = float(found is not None)
        if found is None:
            if young and not registrar.heard_of(device):
                run.fail("too_early", f"listening for {listened:.0f} s of {options.warm_up:.0f} s, not registered yet")
            run.fail("not_registered", registrar.last_words(device))
        now = time.monotonic()
        run.values["keepalive_age_seconds"] = now - found.heard_at
        run.values["keepalives_missed"] = found.missed(now)
        run.values["registration_expires_seconds"] = found.expires_at - now
        run.values["registration_age_seconds"] = now - found.since
        facts = {"agent": found.agent, "keepalive_status": found.state, "registered_from": found.way.host}
        run.facts.update({name: text for name, text in facts.items() if text})
        if young and found.awaited:
            if options.mode == "registered":
                return found
            run.fail("too_early", f"listening for {listened:.0f} s, and its connection has not come back yet")
        if not found.way.alive:
            run.fail("closed", "the device has ended the connection that it registered over")
    return found


async def _arrival(registrar: Registrar, device: str, run: Run) -> Registration | None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, run.left - min(LAST_WORD, run.left / 20))):
            await registrar.arrival(device)
    return registrar.registrations.get(device)
