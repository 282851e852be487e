"""``sentinel lab``: the simulated command centre, and faults to order."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sentinel.config import ConfigRefused
from sentinel.config.starter import starter
from sentinel.lab.servers import FAULTS

app = typer.Typer(
    name="lab",
    help="The command centre on loopback: real protocols, and faults to order.",
    no_args_is_help=True,
    add_completion=False,
)

Block = Annotated[
    int | None, typer.Option(help="Block of loopback that the lab runs in. Default: the only one that runs.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
_NAMED = 12


@app.command()
def serve(
    config: Annotated[
        Path | None, typer.Option(help="Directory of the configuration. Default: the shipped one.", metavar="DIR")
    ] = None,
    probes: Annotated[
        Path | None,
        typer.Option(help="Directory of the probes. Default: `probes` beside the configuration.", metavar="DIR"),
    ] = None,
    block: Annotated[
        int | None, typer.Option(help="Block of loopback to use, from 0. Default: the first that is free.")
    ] = None,
) -> None:
    """Simulate every target of an inventory on loopback, until Ctrl-C or SIGTERM.

    Exit codes: 0 stopped, 1 the configuration is refused, 2 it cannot run here.
    """
    from sentinel.cli.run import loop_factory
    from sentinel.lab.block import BlockTaken
    from sentinel.lab.camera.clip import NoClip
    from sentinel.lab.centre import CannotListen
    from sentinel.lab.process import LabOptions
    from sentinel.lab.process import serve as serve_lab

    console = Console(soft_wrap=True, highlight=False)
    options = LabOptions(config or starter() / "config", probes, block)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve_lab(options, lambda text: console.print(f"· {escape(text)} …"), _print_status))
    except ConfigRefused as refused:
        for problem in refused.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(1) from None
    except (BlockTaken, CannotListen, NoClip, ValueError, OSError) as error:
        typer.echo(f"the lab cannot run: {error}", err=True)
        raise typer.Exit(2) from None


@app.command()
def faults(*, as_json: AsJson = False) -> None:
    """The faults that can be ordered, and what each fits."""
    if as_json:
        typer.echo(
            json.dumps({one.name: {"description": one.description, "fits": one.fits} for one in FAULTS.values()})
        )
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("fault", "fits", "what it does"):
        table.add_column(heading, overflow="fold")
    for fault in FAULTS.values():
        table.add_row(f"[bold]{fault.name}[/]", fault.fits, fault.description)
    Console(highlight=False).print(table)


@app.command()
def status(block: Block = None, *, as_json: AsJson = False) -> None:
    """What the lab runs, and what is broken in it.

    Exit codes: 0 told, 3 no lab runs.
    """
    answer = _ask(block, {"do": "status"})
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        _print_status(answer)


@app.command(name="break")
def break_(
    target: Annotated[str, typer.Argument(help="Id of a target of the inventory.")],
    fault: Annotated[str, typer.Argument(help=f"One of: {', '.join(FAULTS)}.")],
    block: Block = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Break a target, until it is healed.

    Exit codes: 0 broken, 2 there is no such target or fault, or it does not fit, 3 no lab runs.
    """
    answer = _ask(block, {"do": "break", "target": target, "fault": fault})
    _print_change(answer, "nothing changes: it was so already", as_json=as_json)


@app.command()
def heal(
    target: Annotated[str | None, typer.Argument(help="Id of a target; or --all.")] = None,
    block: Block = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Heal all targets.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take all faults from a target, or from all.

    Exit codes: 0 healed, 2 there is no such target, 3 no lab runs.
    """
    if (target is None) is not everything:
        raise typer.BadParameter("give a target, or --all")
    answer = _ask(block, {"do": "heal", "target": target})
    _print_change(answer, "nothing changes: nothing was broken", as_json=as_json)


def _ask(block: int | None, order: dict[str, Any]) -> dict[str, Any]:
    from sentinel.lab.control import NoLab, ask, find

    try:
        answer = ask(find(block).socket, order)
    except NoLab as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(3) from None
    if not answer["ok"]:
        typer.echo(answer["error"], err=True)
        raise typer.Exit(2)
    return answer


def _print_change(answer: dict[str, Any], nothing: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    changed = answer["changed"]
    if not changed:
        typer.echo(nothing)
    for each in changed[:_NAMED]:
        typer.echo(f"{each['id']}  {each['name']}")
    if len(changed) > _NAMED:
        typer.echo(f"… and {len(changed) - _NAMED} more")
    for note in answer["notes"]:
        typer.echo(note)


def _print_status(status: dict[str, Any]) -> None:
    from sentinel.lab.pings import WITHOUT

    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"[bold]lab {status['block']}[/] in {status['network']}: {status['targets']} targets, "
        f"{status['servers']} servers, process {status['pid']}"
    )
    if not status["pings"]:
        console.print(WITHOUT)
    for note in status["notes"]:
        console.print(f"[yellow]{escape(note)}[/]")
    if not status["faults"]:
        console.print("nothing is broken")
    for target, broken in status["faults"].items():
        console.print(f"[red]{escape(target)}[/]  {', '.join(broken)}")
    if status["cut_off"]:
        console.print(f"cut off: {escape(', '.join(status['cut_off']))}")
