"""All commands in one application."""

from __future__ import annotations

from typing import Annotated

import typer

import sentinel
from sentinel.cli import check, demo, incidents, init, lab, probe, run, schema, status

app = typer.Typer(
    name="sentinel",
    help="Monitoring daemon of a command centre.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"sentinel {sentinel.__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=lambda value: _version(wanted=value), is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Monitoring daemon of a command centre."""
    del version


app.command()(run.run)
app.command()(demo.demo)
app.command()(check.check)
app.command()(status.status)
app.command()(incidents.incidents)
app.command()(incidents.explain)
app.command()(status.reload)
app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(probe.probe)
app.command()(init.init)
app.command()(schema.schema)
app.add_typer(lab.app, name="lab")


def main() -> None:
    """Run the command line."""
    app()
