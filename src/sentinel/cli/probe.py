"""``sentinel probe``: one run of one probe, by the very function that the daemon runs."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.text import Text

from sentinel.app.clock import SystemClock
from sentinel.app.logs import configure, escape
from sentinel.catalog import discover
from sentinel.cli.run import loop_factory
from sentinel.config import ConfigRefused, load, open_catalog
from sentinel.config.problems import did_you_mean
from sentinel.domain.observation import Measurement, Observation, Outcome
from sentinel.domain.target import Check, Target
from sentinel.domain.words import CODES, STAGES, word
from sentinel.engine.runner import measure, observe
from sentinel.sdk.net import close_resolver
from sentinel.sdk.protocol import Protocol, Run

EXIT = {Outcome.OK: 0, Outcome.FAILED: 1, Outcome.UNKNOWN: 3}


def probe(
    context: typer.Context,
    protocol: Annotated[str, typer.Argument(help="Protocol: http, icmp, rtsp, snmp, tcp …")] = "",
    address: Annotated[str, typer.Argument(help="Address; without it the protocol's options are listed.")] = "",
    check: Annotated[str, typer.Option(help="Run this check of the configuration instead.", metavar="ID")] = "",
    config: Annotated[Path, typer.Option(help="Directory of the configuration.", metavar="DIR")] = Path("config"),
    probes: Annotated[Path | None, typer.Option(help="Directory of the probes.", metavar="DIR")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds.", min=0.1, max=600)] = 10.0,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Probe once and show stages and values: `sentinel probe http 192.0.2.1 --port 8080 --path /login`.

    Every option of the protocol is an option here; lists and objects are written as JSON.
    Exit codes: 0 ok, 1 failed, 2 not understood, 3 unknown (we could not measure).
    """
    configure(json=False)
    if check:
        used, wanted = _configured(check, config, probes)
    else:
        used, wanted = _ad_hoc(protocol, address, context.args, timeout)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        observation = runner.run(run_once(used, wanted))
    if as_json:
        typer.echo(json.dumps(as_object(observation), ensure_ascii=False, indent=2))
    else:
        _print(observation)
    raise typer.Exit(EXIT[observation.outcome])


async def run_once(protocol: Protocol, check: Check) -> Observation:
    """Run a check's probe once, as the daemon would, with a service of its own."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(close_resolver)
        service = await stack.enter_async_context(protocol.service()) if protocol.service else None
        started = clock.now()
        run = Run(clock.monotonic() + check.timeout, service)
        measurement: Measurement = await measure(protocol, check, run, clock)
    return observe(check, measurement, scheduled_at=started, started_at=started)


def as_object(observation: Observation) -> dict[str, Any]:
    """What ``--json`` prints; seconds and the values' own units."""
    failure = observation.failure
    return {
        "outcome": observation.outcome.value,
        "failure": failure and {"stage": failure.stage, "code": failure.code, "detail": failure.detail},
        "took": observation.took,
        "stages": dict(observation.stages),
        "values": dict(observation.values),
        "facts": dict(observation.facts),
    }


def _configured(check: str, config: Path, probes: Path | None) -> tuple[Protocol, Check]:
    catalog = open_catalog(config, probes)
    try:
        configuration = load(config, probes, catalog=catalog)
    except ConfigRefused as refused:
        for problem in refused.problems:
            typer.echo(escape(str(problem)), err=True)
        raise typer.Exit(2) from None
    found = configuration.checks.get(check)
    if found is None:
        typer.echo(f"there is no check {check!r}{did_you_mean(check, configuration.checks)}", err=True)
        raise typer.Exit(2)
    return catalog.protocols[found.protocol], found


def _ad_hoc(name: str, address: str, arguments: list[str], timeout: float) -> tuple[Protocol, Check]:
    protocols = discover().protocols
    protocol = protocols.get(name)
    if protocol is None:
        known = ", ".join(sorted(protocols))
        typer.echo(f"there is no protocol {name!r}{did_you_mean(name, protocols)}; there are: {known}", err=True)
        raise typer.Exit(2)
    if not address:
        _print_options(protocol)
        raise typer.Exit(2)
    try:
        options = protocol.options.model_validate(parse(protocol.options, arguments))
    except ValidationError as refused:
        for error in refused.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in error["loc"])
            typer.echo(f"--{place.replace('_', '-')}: {error['msg']}", err=True)
        raise typer.Exit(2) from None
    target = Target("probe", address, address, "probe", "here")
    return protocol, Check(f"probe.{name}", name, target, name, name, options, timeout, timeout, "here")


def parse(model: type[BaseModel], arguments: list[str]) -> dict[str, Any]:
    """Options from ``--name value``, ``--name=value`` and ``--flag``; lists and objects are JSON.

    Raises:
        typer.Exit: 2 where an argument is not understood.
    """
    found: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word_ = rest.pop(0)
        if not word_.startswith("--"):
            typer.echo(f"not understood: {word_!r}; options are written --name value", err=True)
            raise typer.Exit(2)
        name, given, value = word_[2:].partition("=")
        key = name.replace("-", "_")
        if key not in model.model_fields:
            hint = did_you_mean(key, model.model_fields)
            typer.echo(f"there is no option --{name}{hint}", err=True)
            raise typer.Exit(2)
        if not given:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        found[key] = _value(value)
    return found


def _value(text: str) -> Any:
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _print_options(protocol: Protocol) -> None:
    console = Console(highlight=False, stderr=True)
    console.print(f"sentinel probe {protocol.name} ADDRESS [--OPTION VALUE …]   {protocol.summary}")
    for name, field in protocol.options.model_fields.items():
        default = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
        console.print(Text(f"  --{name.replace('_', '-'):24} {field.description} ({default})"))


def _print(observation: Observation) -> None:
    console = Console(highlight=False, soft_wrap=True)
    failure = observation.failure
    style = {"ok": "bold green", "failed": "bold red", "unknown": "bold magenta"}[observation.outcome]
    line = Text(observation.outcome.value.upper(), style)
    line.append(f"  {observation.took * 1000:.1f} ms", "default")
    console.print(line)
    if failure is not None:
        said = f"{word(STAGES, failure.stage, 'zh-CN')}，{word(CODES, failure.code, 'zh-CN')}"
        console.print(Text(f"  {failure.stage}/{failure.code}  {said}  {escape(failure.detail)}"))
    for name, seconds in observation.stages.items():
        console.print(Text(f"  stage {name:18} {seconds * 1000:10.2f} ms"))
    for name, value in observation.values.items():
        console.print(Text(f"  value {escape(name):40} {value:g}"))
    for name, fact in observation.facts.items():
        console.print(Text(f"  fact  {escape(name):40} {escape(fact)}"))
