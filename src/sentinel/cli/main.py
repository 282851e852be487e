"""All commands in one application."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

import sentinel

COMMANDS = {
    "run": "run:run",
    "demo": "demo:demo",
    "check": "check:check",
    "status": "status:status",
    "incidents": "incidents:incidents",
    "explain": "incidents:explain",
    "reload": "status:reload",
    "probe": "probe:probe",
    "init": "init:init",
    "schema": "schema:schema",
    "baseline": "baseline:app",
    "snmp": "snmp:app",
    "lab": "lab:app",
}
"""Module of ``sentinel.cli`` and what it calls the command, in the order of the help."""

_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
"""``probe``: the protocol's own options are not known before the protocol is."""


class _Loaded(Mapping[str, Any]):
    """Commands by name, each imported when it is asked for: `sentinel status` needs no video decoder."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module, _, attribute = COMMANDS[name].partition(":")
            found = getattr(import_module(f"sentinel.cli.{module}"), attribute)
            if not isinstance(found, typer.Typer):
                alone = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
                alone.command(name, context_settings=_PASSED_ON if name == "probe" else None)(found)
                found = alone
            self._made[name] = typer.main.get_command(found)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(TyperGroup):
    """The group whose commands are imported one by one."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.commands = cast("MutableMapping[str, Any]", _Loaded())  # complete: nothing is added to it


app = typer.Typer(
    name="sentinel",
    cls=Commands,
    help="Monitoring daemon of a command centre.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may hold passwords
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


def main() -> None:
    """Run the command line."""
    app()
