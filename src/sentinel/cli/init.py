"""``sentinel init DIR``: a configuration to start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from sentinel.config.starter import starter

_SUFFIXES = frozenset({".yaml", ".json", ".py", ".md"})


def init(
    directory: Annotated[Path, typer.Argument(help="Where to: gets the folders config and probes.", metavar="DIR")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write the shipped configuration and probes, to be made one's own.

    Exit codes: 0 written, 1 something is there already (nothing was written), 2 it cannot be written.
    """
    source = starter()
    wanted = {path: directory / path.relative_to(source) for path in shipped(source)}
    there = [target for target in wanted.values() if target.exists()]
    if there and not force:
        for target in there[:10]:
            typer.echo(f"{target} is there already", err=True)
        if len(there) > 10:
            typer.echo(f"… and {len(there) - 10} more", err=True)
        typer.echo("未写入任何文件 Nothing was written. `--force` overwrites them.", err=True)
        raise typer.Exit(1)
    try:
        for path, target in wanted.items():
            _write(path, target)
    except OSError as error:
        typer.echo(f"{error.filename}: {error.strerror}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"已写入 {len(wanted)} 个文件 Wrote {len(wanted)} files to {directory}. 下一步 Next:")
    typer.echo(f"  sentinel check --config {directory / 'config'}")


def shipped(source: Path) -> Iterator[Path]:
    """The files of the shipped configuration and probes."""
    for folder in ("config", "probes"):
        for path in sorted((source / folder).rglob("*")):
            if path.is_file() and path.suffix in _SUFFIXES and "__pycache__" not in path.parts:
                yield path


def _write(path: Path, target: Path) -> None:
    for parent in reversed(target.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)  # whatever the umask: site protocols are refused where a group may write
    target.write_bytes(path.read_bytes())
    target.chmod(0o644)
