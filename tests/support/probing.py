"""Run a probe as the engine's runner does, without the engine: for the tests of protocols.

measurement = await measure(tcp.PROTOCOL, target("127.0.0.1"), {"port": 22})
assert measurement.failure is None
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Target
from sentinel.sdk.net import close_resolver
from sentinel.sdk.protocol import Options, ProbeFailed, Protocol, Run

SERVICE = object()
"""Stands for "make the protocol's own service for this one run"."""


def target(address: str = "127.0.0.1", **more: Any) -> Target:
    """A target with nothing but an address."""
    return Target(**{"id": "peer", "name": "peer", "address": address, "kind": "service", "zone": "internal", **more})


async def measure(
    protocol: Protocol,
    target: Target,
    options: Options | Mapping[str, Any],
    timeout: float = 5.0,
    *,
    service: Any = SERVICE,
    memory: dict[str, Any] | None = None,
) -> Measurement:
    """One run of one probe, with the deadline, the failures and the check of declared values that a runner makes.

    ``options`` may be a mapping, validated here.  ``timeout`` is seconds.  ``service``: the value of the
    protocol's service, where the test holds one; made and ended for this run otherwise.  What escapes the probe and
    is no failure (a defect) escapes from here too.
    """
    if not isinstance(options, Options):
        options = protocol.options.model_validate(options)
    async with AsyncExitStack() as held:
        held.push_async_callback(close_resolver)
        if service is SERVICE:
            service = await held.enter_async_context(protocol.service()) if protocol.service else None
        started = time.monotonic()
        run = Run(started + timeout, service, {} if memory is None else memory)
        failure = None
        try:
            async with asyncio.timeout(timeout):
                await protocol.probe(target, options, run)
        except ProbeFailed as failed:
            failure = failed.failure
        except TimeoutError:
            failure = Failure(run.current, "timed_out", f"no result within {timeout:g} s")
        took = time.monotonic() - started
    undeclared = {key.partition(":")[0] for key in run.values} - {value.name for value in protocol.declared(options)}
    assert not undeclared, f"{protocol.name} measured values that it does not declare: {undeclared}"
    return Measurement(took, failure, run.stages, run.values, run.facts)
