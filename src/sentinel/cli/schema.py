"""``sentinel schema``: JSON Schemas of the configuration files, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sentinel.catalog import discover
from sentinel.cli.screen import complain
from sentinel.config.reference import markdown
from sentinel.config.schema import FILES, schemas
from sentinel.config.schema import write as write_schemas


def schema(
    name: Annotated[str, typer.Argument(help=f"Which one: {', '.join(FILES)}. Default: all, by name.")] = "",
    *,
    write: Annotated[
        Path | None, typer.Option(help="Write them as DIR/<name>.json instead of printing them.", metavar="DIR")
    ] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Print the reference of all keys (Markdown) instead.")
    ] = False,
    site: Annotated[
        Path | None, typer.Option(help="Take in the protocols of this directory (probes/site).", metavar="DIR")
    ] = None,
) -> None:
    """JSON Schemas of the configuration files, with every installed protocol's and channel's options.

    Exit codes: 0 done, 2 no such file or it cannot be written.
    """
    catalog = discover(site)
    for broken in catalog.broken:
        complain(f"{broken.file}:{broken.line}:1: {broken.message}")
    if reference:
        typer.echo(markdown(catalog), nl=False)
        return
    if name and name not in FILES:
        raise typer.BadParameter(f"no such file; known: {', '.join(FILES)}")
    if write is not None:
        try:
            changed = write_schemas(catalog, write)
        except OSError as error:
            raise typer.BadParameter(f"{error.filename or write}: {error.strerror}") from error
        for path in changed:
            typer.echo(f"wrote {path}")
        return
    found = schemas(catalog)
    typer.echo(json.dumps(found[name] if name else found, ensure_ascii=False, indent=2))
