"""``sentinel check``: is the configuration right, what is in it, and what would it change?"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from sentinel.cli.control import NoAnswer, request
from sentinel.cli.screen import console, text, waiting
from sentinel.config import Change, ConfigRefused, Configuration, Problem, compare, load, open_catalog
from sentinel.domain.baseline import NOTHING_USUAL, covers
from sentinel.domain.rule import Rule, Threshold
from sentinel.sdk.quantities import text_of

_SECONDS = 3.0
_LABEL = 22  # columns

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
        with waiting("正在检查配置 reading the configuration"):
            found = load(config, probes, catalog=open_catalog(config, probes))
            change = difference(found)
    except ConfigRefused as refused:
        if as_json:
            _print_json({"ok": False, "errors": _problems(refused.problems)})
        else:
            _print_errors(refused.problems)
        raise typer.Exit(1) from None
    if as_json:
        answer = {"ok": True, "errors": [], "warnings": _problems(found.warnings), "summary": summary(found)}
        _print_json(answer | {"change": change.as_json() if isinstance(change, Difference) else None})
    else:
        _print_summary(found, change)


def summary(configuration: Configuration) -> dict[str, Any]:
    """What is in a configuration, in figures; ``checks_per_second`` counts only those that a vantage reaches."""
    checks = configuration.checks.values()
    observed = [each for each in checks if each.vantage is not None]
    compared = _compared(configuration)
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
        "compared": len(compared),
        "with_baseline": sum(compared.values()),
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
            return "无变化 nothing"
        told = f"告警规则变化 these alerts change: {alerts}" if alerts else "告警不变 no alert changes"
        return f"{self.checks} 项检查 checks, {told}"

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"checks": asdict(self.checks), "rules": asdict(self.rules)}


def difference(configuration: Configuration) -> Difference | str:
    """Against the daemon that runs; where none can be asked, why."""
    path = configuration.daemon.socket
    try:
        status, answer = request(path, "GET", "/api/v1/config", timeout=_SECONDS)
        if status != 200:
            raise NoAnswer(f"gave no answer: status {status}")
        running = {
            kind: {str(id_): str(print_) for id_, print_ in answer[kind].items()} for kind in ("checks", "rules")
        }
    except FileNotFoundError:
        return f"没有运行中的守护进程 no daemon runs here ({path} is not there)"
    except NoAnswer as error:
        return f"the daemon at {path} {error}"
    except (KeyError, AttributeError):
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


def _problems(problems: list[Problem] | tuple[Problem, ...]) -> list[dict[str, Any]]:
    return [asdict(problem) for problem in problems]


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_errors(problems: list[Problem]) -> None:
    screen = console(stderr=True)
    for problem in problems:
        place = f"{problem.file}:{problem.line}:{problem.column}: "
        screen.print(text(place, "bold") + text(problem.message, "red"))
    count = len(problems)
    screen.print(f"配置被拒绝，{count} 处错误 {count} error{'s' * (count != 1)}: the configuration is refused.")


def _print_summary(configuration: Configuration, change: Difference | str) -> None:
    screen = console()
    for warning in configuration.warnings:
        screen.print(text(warning, "yellow") + Text("（警告 warning）"))
    figures = summary(configuration)
    protocols = ", ".join(f"{name} {count}" for name, count in figures["checks_by_protocol"].items())
    screen.print("[bold green]配置正确 The configuration is right.[/]")
    nobody = "" if figures["routes"] else "：不会通知任何人 nobody is told of anything"
    rows = [
        ("目标 targets", f"{figures['targets']}"),
        ("占位 placeholders", f"{figures['placeholders']}：须补全真实名称和地址 they want real names and addresses"),
        ("检查 checks", f"{figures['checks']}: {protocols}"),
        ("无法探测 unobserved", f"{figures['unobserved']}：所在网络没有探测点 no vantage reaches their zone"),
        ("负载 load", f"{figures['checks_per_second']:g} 次检查/秒 checks per second"),
        ("抽看 sampled", "; ".join(_sampled(configuration)) or "0："),
        ("规则 rules", f"{figures['rules']}"),
        (
            "基线 baselines",
            f"{figures['with_baseline']} / {figures['compared']}：有基线的受比较检查 of the checks compared have one"
            if figures["compared"]
            else "0：",
        ),
        ("通道 channels", f"{figures['channels']}, 路由 routes {figures['routes']}{nobody}"),
        ("将改变 would change", f"{change}"),
    ]
    for label, said in rows:
        if not said.startswith("0："):
            width = _LABEL - sum(unicodedata.east_asian_width(character) == "W" for character in label)
            screen.print(text(f"  {label:<{width}}{said}"))


def _compared(configuration: Configuration) -> Mapping[str, bool]:
    """The checks of which a rule compares a value with what is usual, and whether that is known of all such values."""
    found: dict[str, bool] = {}
    for rule in configuration.rules:
        if not isinstance(rule.predicate, Threshold) or rule.predicate.deviates is None:
            continue
        for one in configuration.checks.values():
            if rule.selector.matches(one):
                known = covers(configuration.baselines.get(one.id, NOTHING_USUAL), rule.predicate.value)
                found[one.id] = found.get(one.id, True) and known
    return found


def _sampled(configuration: Configuration) -> list[str]:
    """In what time each check that takes samples has looked at everything."""
    return [
        f"{check.id} 全部轮到需 {text_of(rounds * check.interval)} covers all in {rounds} rounds"
        for check in configuration.checks.values()
        if (rounds := check.options.rounds()) > 1
    ]
