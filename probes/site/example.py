r"""UDP status: does a device answer the question that its maker made up?  An example of a protocol of one's own.

A file in this directory has the same contract as the protocols that are built in: one options model, one async
function, one constant ``PROTOCOL``.  It is loaded where ``config/sentinel.yaml`` says ``site_protocols: true``, if
root or the daemon's user owns it and nobody else may write it.  Then a probe may name it:

    probes:
      amplifier-status: {protocol: example_status, options: {port: 5005, question: "STATUS?\r\n"}}

and it has validated options, a schema for editors, a command (``sentinel probe example_status ADDRESS``) and metrics
(``sentinel_example_status_reading``) like any other.

What it speaks: a datagram with the question; the answer is one datagram with lines ``NAME=VALUE``.
"""

# ruff: noqa: INP001 - a file that is loaded by its path, not a part of a package

from __future__ import annotations

import asyncio
import math

from pydantic import Field

from sentinel.domain.target import Target
from sentinel.sdk.net import resolve
from sentinel.sdk.protocol import Options, Protocol, Run, Value

_MAX_READINGS = 50


class StatusOptions(Options):
    """What to ask, and what has to be in the answer."""

    port: int = Field(ge=1, le=65_535, description="The device's UDP port.")
    question: str = Field(
        default="STATUS?\r\n", min_length=1, max_length=500, description="Text to send, with its line end."
    )
    ready: str = Field(default="", max_length=100, description="What STATE must be; empty where any will do.")


async def probe(target: Target, options: StatusOptions, run: Run) -> None:
    """Ask once; every number in the answer is measured, every other text is shown."""
    address = await resolve(run, target.address)
    loop = asyncio.get_running_loop()
    with run.stage("connect"):
        # Connected: the kernel drops what comes from another address, and tells of a port that is closed.
        transport, answer = await loop.create_datagram_endpoint(_Answer, remote_addr=(address, options.port))
    try:
        with run.stage("exchange"):
            transport.sendto(options.question.encode())
            data = await answer.data
    finally:
        transport.abort()
    with run.stage("expect"):
        state = _read(data.decode("utf-8", "replace"), run)
        if options.ready and state != options.ready:
            run.fail("mismatch", f"STATE is {state!r}, not {options.ready}")


class _Answer(asyncio.DatagramProtocol):
    """The first datagram."""

    def __init__(self) -> None:
        self.data: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the signature is asyncio's
        if not self.data.done():
            self.data.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.data.done():
            self.data.set_exception(exc)


def _read(text: str, run: Run) -> str:
    """Put the lines down; the value of STATE."""
    pairs = [line.partition("=") for line in text.splitlines()[:_MAX_READINGS]]
    if not any(equals for _, equals, _ in pairs):
        run.fail("protocol_error", f"no line NAME=VALUE in {text[:100]!r}")
    state = ""
    for name, equals, value in pairs:
        key = name.strip().lower()[:40]
        if not equals or not key.isidentifier():
            continue
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            run.values[f"reading:{key}"] = number
        else:
            run.facts[key] = value.strip()[:200]
        if key == "state":
            state = value.strip()
    return state


PROTOCOL = Protocol(
    "example_status",
    StatusOptions,
    probe,
    values=(Value("reading", "", "Each number of the answer, by its name.", items=True),),
    transport="udp",
)
