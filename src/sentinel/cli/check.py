"""``sentinel check``: is the configuration right, what is in it, and what would it change?"""

from __future__ import annotations

import http.client
import json
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from sentinel.config import Change, ConfigRefused, Configuration, Problem, compare, load, open_catalog
from sentinel.domain.rule import Rule

_SECONDS = 3.0
_MAX_BYTES = 32 * 1024 * 1024

Config = Annotated[Path, typer.Option(help="Directory of the configuration.", metavar="DIR")]
Probes = Annotated[
    Path | None,
    typer.Option(help="Directory of the probes. Default: `probes` beside the configuration.", metavar="DIR"),
]


def check(
    config: Config = Path("config"),
    probes: Probes = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Say every error of the configuration with its line, or what is in it and what it would change.

    Exit codes: 0 it is right, 1 it has errors.
    """
    try:
        found = load(config, probes, catalog=open_catalog(config, probes))
    except ConfigRefused as refused:
        if as_json:
            _print_json({"ok": False, "errors": _problems(refused.problems)})
        else:
            _print_errors(refused.problems)
        raise typer.Exit(1) from None
    change = difference(found)
    if as_json:
        answer = {"ok": True, "errors": [], "warnings": _problems(found.warnings), "summary": summary(found)}
        _print_json(answer | {"change": change.as_json() if isinstance(change, Difference) else None})
    else:
        _print_summary(found, change)


def summary(configuration: Configuration) -> dict[str, Any]:
    """What is in a configuration, in figures; ``checks_per_second`` counts only those that a vantage reaches."""
    checks = configuration.checks.values()
    observed = [each for each in checks if each.vantage is not None]
    return {
        "targets": len(configuration.targets),
        "placeholders": sum(target.placeholder for target in configuration.targets.values()),
        "checks": len(configuration.checks),
        "unobserved": len(configuration.checks) - len(observed),
        "checks_by_protocol": dict(sorted(Counter(each.protocol for each in checks).items())),
        "checks_per_second": round(sum(1 / each.interval for each in observed), 2),
        "venues": len(configuration.venues),
        "systems": len(configuration.systems),
        "rules": len(configuration.rules),
        "channels": len(configuration.channels),
        "routes": len(configuration.routes),
        "conferences": len(configuration.conferences),
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """What would change in the daemon that runs; ``names`` are the names of rules that are in the new configuration."""

    checks: Change
    rules: Change
    names: Mapping[str, str]

    def __str__(self) -> str:
        alerts = ", ".join(self.names.get(rule, rule) for rule in self.rules.ids)
        if not self.checks and not self.rules:
            return "nothing"
        return f"{self.checks} checks" + (f", these alerts change: {alerts}" if alerts else ", no alert changes")

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"checks": asdict(self.checks), "rules": asdict(self.rules)}


def difference(configuration: Configuration) -> Difference | str:
    """Against the daemon that runs; where none can be asked, why."""
    path = configuration.daemon.socket
    try:
        running = _ask(path)
    except FileNotFoundError:
        return f"no daemon runs here ({path} is not there)"
    except (OSError, http.client.HTTPException) as error:
        return f"the daemon at {path} gave no answer: {getattr(error, 'strerror', None) or type(error).__name__}"
    except (ValueError, KeyError, TypeError):
        return f"the daemon at {path} gave an answer that is not understood: is it another version?"
    return compare_with(running, configuration.fingerprints, configuration.rules)


def compare_with(
    running: Mapping[str, Mapping[str, str]], fingerprints: Mapping[str, str], rules: tuple[Rule, ...]
) -> Difference:
    """From what runs (``checks`` and ``rules`` to their fingerprints) to these fingerprints."""
    names = {rule.id: rule.name for rule in rules}
    return Difference(
        compare(running["checks"], {id_: print_ for id_, print_ in fingerprints.items() if id_ not in names}),
        compare(running["rules"], {id_: print_ for id_, print_ in fingerprints.items() if id_ in names}),
        names,
    )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the daemon's control socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))


def _ask(path: Path) -> Mapping[str, Mapping[str, str]]:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/api/v1/config")
        response = connection.getresponse()
        body = response.read(_MAX_BYTES)
        if response.status != 200:
            raise http.client.HTTPException(f"status {response.status}")
    finally:
        connection.close()
    answer = json.loads(body)
    return {kind: {str(id_): str(print_) for id_, print_ in answer[kind].items()} for kind in ("checks", "rules")}


def _problems(problems: list[Problem] | tuple[Problem, ...]) -> list[dict[str, Any]]:
    return [asdict(problem) for problem in problems]


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_errors(problems: list[Problem]) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for problem in problems:
        place, message = f"{problem.file}:{problem.line}:{problem.column}:", problem.message
        console.print(f"[bold]{escape(_shown(place))}[/] [red]{escape(_shown(message))}[/]")
    count = len(problems)
    console.print(f"{count} error{'s' * (count != 1)}: the configuration is refused.")


def _print_summary(configuration: Configuration, change: Difference | str) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for warning in configuration.warnings:
        console.print(f"[yellow]{escape(_shown(str(warning)))}[/] (warning)")
    figures = summary(configuration)
    protocols = ", ".join(f"{name} {count}" for name, count in figures["checks_by_protocol"].items())
    console.print("[bold green]The configuration is right.[/]")
    console.print(f"  targets       {figures['targets']}")
    if figures["placeholders"]:
        console.print(f"  placeholders  {figures['placeholders']}: they want real names and addresses")
    console.print(f"  checks        {figures['checks']}: {protocols}")
    if figures["unobserved"]:
        console.print(f"  unobserved    {figures['unobserved']}: no vantage reaches their zone")
    console.print(f"  load          {figures['checks_per_second']:g} checks per second")
    console.print(f"  rules         {figures['rules']}")
    nobody = "" if figures["routes"] else ": nobody is told of anything"
    console.print(f"  channels      {figures['channels']}, routes {figures['routes']}{nobody}")
    console.print(f"  would change  {escape(_shown(str(change)))}")


def _shown(text: str) -> str:
    """Without control characters: a key of a file may hold what a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
