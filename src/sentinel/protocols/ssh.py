"""SSH: does the right server let us in, and does a command there say what it should?"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import Annotated, Final

import asyncssh
from pydantic import BaseModel, ConfigDict, Field, field_validator

from sentinel.domain.target import Target
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.protocol import Protocol, Run, Value
from sentinel.sdk.ssh import Connections, connections
from sentinel.sdk.ssh_handshake import shake_hands
from sentinel.sdk.ssh_login import Login, SshLogin

_SHOWN: Final = 200  # characters of the output that people are shown
_MAX_CAPTURES: Final = 32
_SMALLEST_WINDOW: Final = 32_768  # bytes; a smaller one makes more packets than it saves memory

Process = asyncssh.SSHClientProcess[bytes]

VALUES: Final = (
    Value("exit_status", "1", "Exit status of the command."),
    Value("received_bytes", "B", "Bytes of the command's output."),
)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Capture(BaseModel):
    """A number in a command's output."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    pattern: Pattern = Field(description="Pattern (RE2); its first group, else all of it, is the number.")
    unit: str = Field(default="1", max_length=20, description="Unit: s, B, Cel, % …; 1 where it has none.")
    factor: float = Field(default=1.0, description="What the number is multiplied by to be in that unit.")
    description: str = Field(default="", max_length=200, description="What it is, for people.")


class SshOptions(SshLogin):
    """Who logs in, what is run there, and what it must say."""

    version: Pattern | None = Field(
        default=None,
        description='Pattern (RE2) that the server\'s version must hold: "OpenSSH_9".',
    )
    command: str | None = Field(
        default=None, min_length=1, max_length=2_000, description="Command to run; without one the login is all."
    )
    exit_status: tuple[int, ...] = Field(
        default=(0,),
        max_length=16,
        description="Exit statuses that are good; empty where the server tells none.",
    )
    expect_matches: Pattern | None = Field(
        default=None, description="Pattern (RE2) that the output must hold; standard error is part of it."
    )
    captures: dict[Name, Capture] = Field(
        default_factory=dict,
        max_length=_MAX_CAPTURES,
        description="Numbers in the output, each a value of its name; one that is not there is a failure.",
    )
    facts: dict[Name, Pattern] = Field(
        default_factory=dict,
        max_length=_MAX_CAPTURES,
        description="Texts in the output that are shown under their names (RE2: first group, else all).",
    )
    max_bytes: int = Field(default=65_536, ge=1, le=1_048_576, description="Largest output.")

    @field_validator("captures")
    @classmethod
    def _names_are_free(cls, captures: dict[str, Capture]) -> dict[str, Capture]:
        taken = {value.name for value in VALUES} & captures.keys()
        if taken:
            raise ValueError(f"`{min(taken)}` is measured already: another name is needed")
        return captures


async def probe(target: Target, options: SshOptions, run: Run) -> None:
    """Log in anew; or run the command over the connection that is shared, and compare."""
    login = options.at(target.address)
    if options.command is None:
        await _log_in(login, run)
    else:
        await _command(login, options.command, options, run)
    if options.version is not None and not options.version.found_in(run.facts["server"]):
        run.fail("mismatch", f"the server is {run.facts['server']!r}", stage="expect")


async def _log_in(login: Login, run: Run) -> None:
    # A connection that is open says nothing about the next login: this one is for the measurement alone.
    connected = await shake_hands(run, login)
    connected.connection.close()
    run.facts["server"] = connected.version[:200]
    run.facts["host_key"] = connected.shown


async def _command(login: Login, command: str, options: SshOptions, run: Run) -> None:
    pool: Connections = run.service

    def start(connection: asyncssh.SSHClientConnection) -> Awaitable[Process]:
        window = max(options.max_bytes, _SMALLEST_WINDOW)
        return connection.create_process(command, encoding=None, stderr=asyncssh.STDOUT, window=window)

    async with pool.channel(run, login, start) as process:
        connection = process.channel.get_connection()
        with run.stage("exchange"):
            output = await _output(process, options.max_bytes, run)
            await process.wait_closed()
            ended = process.exit_status
            if ended is None and process.exit_signal is None and connection.is_closed():
                run.fail("closed", "the connection was lost while the command ran")
    if ended is not None:
        run.values["exit_status"] = float(ended)
    with run.stage("expect"):
        _compare(output.decode("utf-8", "replace"), ended, options, run)


async def _output(process: Process, limit: int, run: Run) -> bytes:
    """All that the command says, on both of its outputs."""
    data = b""
    while more := await process.stdout.read(limit + 1 - len(data)):
        data += more
        run.values["received_bytes"] = float(len(data))
        run.facts["output"] = data[:_SHOWN].decode("utf-8", "replace")
        if len(data) > limit:
            process.channel.abort()
            run.fail("too_large", f"more than {limit} bytes")
    return data


def _compare(output: str, ended: int | None, options: SshOptions, run: Run) -> None:
    shown = output[:_SHOWN]
    if options.exit_status and ended not in options.exit_status:
        said = "without a status" if ended is None else f"with {ended}"
        run.fail("bad_status", f"the command ended {said}: {shown!r}")
    for name, pattern in options.facts.items():
        found = pattern.find(output)
        if found is not None:
            run.facts[name] = found[:_SHOWN]
    if options.expect_matches is not None and not options.expect_matches.found_in(output):
        run.fail("mismatch", f"the output begins with {shown!r}")
    for name, capture in options.captures.items():
        run.values[name] = _number(name, capture, output, run)


def _number(name: str, capture: Capture, output: str, run: Run) -> float:
    found = capture.pattern.find(output)
    if found is None:
        run.fail("mismatch", f"{name}: nothing in the output matches")
    try:
        number = float(found) * capture.factor
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        run.fail("mismatch", f"{name}: {found[:50]!r} is no number")
    return number


def values_of(options: SshOptions) -> tuple[Value, ...]:
    """What the captures measure."""
    return tuple(
        Value(name, capture.unit, capture.description or f"Captured from the output: {name}.")
        for name, capture in options.captures.items()
    )


PROTOCOL = Protocol("ssh", SshOptions, probe, values=VALUES, service=connections, values_of=values_of)
