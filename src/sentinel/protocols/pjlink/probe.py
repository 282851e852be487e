"""PJLink: is the projector or display on, on the right input, and healthy?"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from pydantic import Field, SecretStr

from sentinel.domain.target import Target
from sentinel.protocols.pjlink.link import MAX_LINE, Link, Refused
from sentinel.protocols.pjlink.readings import CLASS, POWER, QUESTIONS, VALUES, Question
from sentinel.sdk.net import connect, discard
from sentinel.sdk.protocol import Options, Protocol, Run

_ASK_AGAIN: Final = 3_600.0
"""Seconds for which a device's name, maker, versions and the questions that it does not know are taken to last."""


class PjlinkOptions(Options):
    """Where the device is, and its password."""

    port: int = Field(default=4352, ge=1, le=65_535, description="The device's TCP port.")
    password: SecretStr | None = Field(
        default=None, min_length=1, max_length=32, description="Password, where the device is set to want one."
    )
    expect_input: str | None = Field(
        default=None,
        pattern="^[1-6][1-9A-Z]$",
        description="Input that must be shown while it is on: 31 is the first digital one. Another is a mismatch.",
    )


@dataclass(slots=True)
class _Known:
    """What lasts from one run to the next."""

    until: float
    facts: dict[str, str] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)


async def probe(target: Target, options: PjlinkOptions, run: Run) -> None:
    """Ask for power, then for all else that the device's class has; what it cannot answer is left out.

    A device that says that it is faulty (ERR4) or busy (ERR3) has answered: rules judge ``device_failure`` and
    ``unavailable``.
    """
    reader, writer = await connect(run, target.address, options.port, limit=MAX_LINE)
    try:
        link = Link(reader, writer, run)
        await link.greet(options.password)
        await _read(link, options, run)
    finally:
        discard(writer)


async def _read(link: Link, options: PjlinkOptions, run: Run) -> None:
    known: _Known | None = run.memory.get("pjlink")
    fresh = known is None or known.until < time.monotonic()
    if known is None or fresh:
        known = _Known(time.monotonic() + _ASK_AGAIN)
    run.values.update(device_failure=0.0, unavailable=0.0)
    refused = await _put(link, POWER, run)
    if refused in ("ERR1", "ERR2"):
        run.fail("unsupported", f"POWR is answered with {refused}", stage="query")
    run.facts.update(known.facts)
    if fresh:
        known.unanswered |= {CLASS.command} if await _put(link, CLASS, run) else set()
    level = 2 if run.facts.get("class") == "2" else 1
    for question in QUESTIONS:
        if question.level > level or question.command in known.unanswered or (question.lasting and not fresh):
            continue
        if await _put(link, question, run) in ("ERR1", "ERR2"):
            known.unanswered.add(question.command)
    if fresh and not run.values["unavailable"]:  # what cannot be told now is asked for again
        passing = {"input", "resolution", "authentication"}
        known.facts = {name: text for name, text in run.facts.items() if name not in passing}
        run.memory["pjlink"] = known
    _compare(options, run)


async def _put(link: Link, question: Question, run: Run) -> str | None:
    """Ask, and put the answer down; the refusal's code where there is none."""
    try:
        answer = await link.ask(question.command, question.level)
    except Refused as refused:
        if refused.code == "ERR3":
            run.values["unavailable"] += 1.0
        if refused.code == "ERR4":
            run.values["device_failure"] = 1.0
        return refused.code
    if not question.read(answer, run):
        run.fail("protocol_error", f"{answer[:100]!r} is no answer to {question.command}", stage="query")
    return None


def _compare(options: PjlinkOptions, run: Run) -> None:
    if options.expect_input is None or run.values.get("power") != 1.0:
        return
    shown = run.facts.get("input", "")
    if not shown.startswith(options.expect_input):
        run.fail("mismatch", f"the input is {shown or 'not told'}, not {options.expect_input}", stage="expect")


PROTOCOL = Protocol("pjlink", PjlinkOptions, probe, values=VALUES)
