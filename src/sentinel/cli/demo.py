"""``sentinel demo``: the simulated command centre, and the daemon that watches it."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sentinel.config.starter import starter

if TYPE_CHECKING:
    from sentinel.lab.demo import Stage


def demo(
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of the wall page on 127.0.0.1. Default: 8640, or the next that is free.", min=1, max=65535
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(help="Where to post alerts, in Alertmanager's format. Default: nowhere.", metavar="URL"),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Stop after so many seconds of running. Default: at Ctrl-C.", min=0.1)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Directory of a configuration of your own. Default: the shipped one.", metavar="DIR"),
    ] = None,
    probes: Annotated[
        Path | None,
        typer.Option(help="Directory of the probes. Default: `probes` beside the configuration.", metavar="DIR"),
    ] = None,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every change of a check's state.")] = False,
) -> None:
    """Simulate the whole command centre on loopback, and watch it: a wall page to look at, and faults to order.

    The daemon's data goes with it, and the channels of the configuration are not told. The lab's
    certificates and the cameras' picture stay in its state directory, for the next start.
    Exit codes: 0 stopped, 1 the configuration is refused, 2 it cannot run here.
    """
    from sentinel.app.logs import configure
    from sentinel.cli.run import run_loop
    from sentinel.lab.demo import DemoFailed, DemoOptions
    from sentinel.lab.demo import demo as show

    configure(verbose=verbose)
    console = Console(soft_wrap=True, highlight=False)
    started = time.monotonic()

    def progress(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.1f} s[/]  {escape(text)} …")

    options = DemoOptions(config or starter() / "config", probes, port, webhook, seconds)
    try:
        run_loop(show(options, progress, lambda stage: _invite(console, stage, webhook=webhook, seconds=seconds)))
    except DemoFailed as failed:
        typer.echo(str(failed), err=True)
        raise typer.Exit(2) from None


def _invite(console: Console, stage: Stage, *, webhook: str | None, seconds: float | None) -> None:
    """Where to look, and what to try."""
    from sentinel.lab.pings import BLIND, WITHOUT, may_ping

    lab = stage.lab
    console.print()
    console.print(
        f"[bold green]应急指挥中心模拟环境已就绪[/]  {lab['targets']} targets, {lab['servers']} servers on loopback"
    )
    console.print(f"  大屏 wall page   [bold underline]{stage.wall}[/]")
    console.print(f"  指标 metrics     {stage.wall.rstrip('/')}/metrics")
    if webhook is None:
        console.print("  告警 alerts      nobody is told: start with --webhook URL")
    else:
        console.print("  告警 alerts      posted to your webhook")
    if not may_ping():
        console.print(f"  [yellow]{escape(BLIND)}[/]")
    if not lab["pings"]:
        console.print(f"  [yellow]{escape(WITHOUT)}[/]")
    for note in lab["notes"]:
        console.print(f"  [yellow]{escape(note)}[/]")
    console.print()
    console.print("在另一个终端里试一试 / try in another terminal:")
    commands = _commands(stage)
    width = max(len(line) for line, _ in commands)
    for line, meaning in commands:
        console.print(f"  [bold]{escape(line):<{width}}[/]  [dim]# {escape(meaning)}[/]")
    end = "Ctrl-C" if seconds is None else f"Ctrl-C, or {seconds:g} s"
    console.print(f"停止 / stop: {end}")
    console.print()


def _commands(stage: Stage) -> list[tuple[str, str]]:
    """Orders that fit the inventory, to be copied."""
    sentinel = _called()
    where = f" --block {stage.lab['block']}" if stage.lab["block"] else ""
    by_kind: dict[str, tuple[str, str]] = {}
    for target in stage.configuration.targets.values():
        by_kind.setdefault(target.kind, (target.id, target.name))
    parents = {parent for target in stage.configuration.targets.values() for parent in target.parents}
    found = []
    for kind, fault, means in (
        ("terminal", "down", "goes dark"),
        ("camera", "no-packets", "plays, and shows no picture"),
        ("business-system", "http-500", "answers with errors"),
        ("business-system", "cert-expired", "shows a certificate that has ended"),
        ("conference-set", "down", "cannot be called"),
    ):
        if kind in by_kind:
            id_, name = by_kind[kind]
            found.append((f"{sentinel} lab break {id_} {fault}{where}", f"{name} {means}"))
    for id_ in ("access-internal", *sorted(parents)):
        if id_ in stage.configuration.targets and id_ in parents:
            hanging = sum(id_ in target.parents for target in stage.configuration.targets.values())
            name = stage.configuration.targets[id_].name
            found.append((f"{sentinel} lab break {id_} switch-down{where}", f"{name}, with {hanging} behind it"))
            break
    found.append((f"{sentinel} lab heal --all{where}", "all is well again"))
    found.append((f"{sentinel} lab faults", "what else can break"))
    found.append((f"{sentinel} incidents --socket {stage.socket}", "what is wrong, from the daemon"))
    return found


def _called() -> str:
    """How the person called us, so that a line can be copied."""
    path = Path(sys.argv[0])
    if path.name == "__main__.py":
        return f"{sys.executable} -m sentinel"
    found = shutil.which("sentinel")
    if found is not None and Path(found).resolve() == path.resolve():
        return "sentinel"
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
