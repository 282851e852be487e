"""``sentinel probe``: one run of one probe, by the very function that the daemon runs."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from sentinel.app.clock import SystemClock
from sentinel.app.logs import configure
from sentinel.catalog import Catalog, discover
from sentinel.cli.adhoc import NotUnderstood, given, pasted
from sentinel.cli.run import loop_factory
from sentinel.cli.screen import both, complain, console, text, waiting
from sentinel.config import ConfigRefused, Configuration, load, open_catalog
from sentinel.config.load import probes_of
from sentinel.config.problems import did_you_mean
from sentinel.config.starter import starter
from sentinel.domain.observation import Observation, Outcome
from sentinel.domain.target import Check, Target
from sentinel.domain.words import CODES, OUTCOMES, STAGES
from sentinel.engine.runner import measure, observe
from sentinel.sdk.net import close_resolver
from sentinel.sdk.protocol import Protocol, Run

EXIT = {Outcome.OK: 0, Outcome.FAILED: 1, Outcome.UNKNOWN: 3}
STYLES = {Outcome.OK: "bold green", Outcome.FAILED: "bold red", Outcome.UNKNOWN: "bold magenta"}
TIMEOUT = 10.0


def probe(  # noqa: PLR0913 - each is an option of the command
    context: typer.Context,
    protocol: Annotated[str, typer.Argument(help="Protocol: http, icmp, rtsp, snmp, tcp …")] = "",
    address: Annotated[
        str, typer.Argument(help="Address, name or URL; without it the protocol's options are listed.")
    ] = "",
    check: Annotated[str, typer.Option(help="Run this check of the configuration instead.", metavar="ID")] = "",
    config: Annotated[
        Path | None,
        typer.Option(
            help="Directory of the configuration. Default: config; with --lab the shipped one.", metavar="DIR"
        ),
    ] = None,
    probes: Annotated[
        Path | None,
        typer.Option(help="Directory of the probes. Default: `probes` beside the configuration.", metavar="DIR"),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds. Default: the check's own, else 10.", min=0.1, max=600, metavar="SECONDS"),
    ] = None,
    *,
    lab: Annotated[
        bool, typer.Option("--lab", help="With --check: at the address that it has in the lab (or demo) that runs.")
    ] = False,
    block: Annotated[int | None, typer.Option(help="Block of the lab, where several run.", metavar="N")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Probe once and show stages and values: `sentinel probe http 192.0.2.1 --port 8080 --path /login`.

    Every option of the protocol is an option here; lists and objects are written as JSON, secrets as ${env:NAME} or
    ${file:PATH}, so that they stay out of the list of processes. A URL is taken apart: `sentinel probe rtsp
    rtsp://192.0.2.9:8554/stream`. Exit codes: 0 ok, 1 failed, 2 not understood, 3 unknown (we could not measure).
    """
    configure()
    try:
        if check:
            if protocol:
                raise NotUnderstood(f"either --check or a protocol: {protocol!r} is one word too many")
            used, wanted = _configured(check, _configuration(config, probes, block, in_lab=lab or block is not None))
            wanted = wanted if timeout is None else replace(wanted, timeout=timeout)
        else:
            if lab or block is not None:
                raise NotUnderstood("--lab goes with --check: an address on the command line is taken as it is")
            used, wanted = _ad_hoc(protocol, address, context.args, (config, probes), timeout or TIMEOUT)
    except NotUnderstood as error:
        for line in error.lines:
            complain(line)
        raise typer.Exit(2) from None
    with waiting(f"正在探测 probing {wanted.target.address}"), asyncio.Runner(loop_factory=loop_factory()) as runner:
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
        measurement = await measure(protocol, check, run, clock)
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


def _configuration(
    config: Path | None, probes: Path | None, block: int | None, *, in_lab: bool
) -> tuple[Catalog, Configuration]:
    """The configuration that a check is of; in the lab with the addresses that its targets have there.

    Raises:
        NotUnderstood: it is refused, or no lab runs.
    """
    try:
        if not in_lab:
            config = config or Path("config")
            catalog = open_catalog(config, probes)
            return catalog, load(config, probes, catalog=catalog)
        from sentinel.lab.control import NoLab, find
        from sentinel.lab.inventory import read, trusting

        try:
            place = find(block)
        except NoLab as error:
            raise NotUnderstood(str(error)) from None
        config = config or starter() / "config"
        return open_catalog(config, probes), trusting(read(config, probes, place.block), place.authority, place.block)
    except ConfigRefused as refused:
        raise NotUnderstood(*map(str, refused.problems)) from None


def _configured(id_: str, used: tuple[Catalog, Configuration]) -> tuple[Protocol, Check]:
    catalog, configuration = used
    found = configuration.checks.get(id_)
    if found is None:
        raise NotUnderstood(f"没有此检查 there is no check {id_!r}{did_you_mean(id_, configuration.checks)}")
    return catalog.protocols[found.protocol], found


def _ad_hoc(
    name: str, address: str, arguments: list[str], directories: tuple[Path | None, Path | None], timeout: float
) -> tuple[Protocol, Check]:
    config, probes = directories[0] or Path("config"), directories[1]
    protocols = (open_catalog(config, probes) if config.is_dir() else discover()).protocols
    protocol = protocols.get(name)
    if protocol is None:
        known = ", ".join(sorted(protocols))
        raise NotUnderstood(
            f"没有此协议 there is no protocol {name!r}{did_you_mean(name, protocols)}; there are: {known}"
        )
    if not address:
        _print_options(protocol)
        raise typer.Exit(2)
    model = protocol.options
    host, from_url = pasted(name, model, address)
    # As a configuration would have them: the site's own vendor data first.
    profiles = [directory / "profiles" for directory in (probes or probes_of(config), starter() / "probes")]
    try:
        options = model.model_validate(from_url | given(model, arguments), context={"profiles": profiles})
    except ValidationError as refused:
        raise NotUnderstood(*reasons(refused)) from None
    target = Target("probe", host, host, "probe", "here")
    return protocol, Check(f"probe.{name}", name, target, name, name, options, timeout, timeout, "here")


def reasons(refused: ValidationError) -> list[str]:
    """What a model of options has against them, a line each, by the names that the command line has for them."""
    lines = []
    for error in refused.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in error["loc"]).replace("_", "-")
        lines.append((f"--{place}: " if place else "") + error["msg"].removeprefix("Value error, "))
    return lines


def _print_options(protocol: Protocol) -> None:
    screen = console(stderr=True)
    screen.print(text(f"sentinel probe {protocol.name} ADDRESS [--OPTION VALUE …]   {protocol.summary}"))
    model: type[BaseModel] = protocol.options
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
        screen.print(text(f"  --{name.replace('_', '-'):24} {field.description} ({default})"))


def _print(observation: Observation) -> None:
    screen = console()
    failure = observation.failure
    screen.print(text(both(OUTCOMES, observation.outcome), STYLES[observation.outcome]), end="")
    screen.print(text(f"  {observation.took * 1000:.1f} ms"))
    if failure is not None:
        screen.print(text(f"  {both(STAGES, failure.stage)}，{both(CODES, failure.code)}  {failure.detail}"))
    for name, seconds in observation.stages.items():
        screen.print(text(f"  阶段 stage  {name:32} {seconds * 1000:12.2f} ms"))
    for name, value in observation.values.items():
        screen.print(text(f"  数值 value  {name:32} {value:12g}"))
    for name, fact in observation.facts.items():
        screen.print(text(f"  信息 fact   {name:32} {fact}"))
