"""``sentinel run``: the daemon."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from sentinel.cli.screen import complain


def run(
    config: Annotated[Path, typer.Option(help="Directory of the configuration.", metavar="DIR")] = Path("config"),
    probes: Annotated[
        Path | None,
        typer.Option(help="Directory of the probes. Default: `probes` beside the configuration.", metavar="DIR"),
    ] = None,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every change of a check's state.")] = False,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C; SIGHUP reloads the configuration.

    Exit codes: 0 stopped, 1 the configuration is refused, 2 it cannot run here.
    """
    from sentinel.app.daemon import Serve, serve
    from sentinel.app.logs import configure

    configure(verbose=verbose)
    run_loop(serve(Serve(config, probes)))


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where there is one, and say in plain words why it could not run.

    Raises:
        typer.Exit: 1 for a refused configuration, 2 where it cannot run here.
    """
    from sentinel.config import ConfigRefused
    from sentinel.storage.schema import StoreRefused
    from sentinel.web.server import ListenRefused

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(main)
    except ConfigRefused as refused:
        for problem in refused.problems:
            complain(str(problem))
        raise typer.Exit(1) from None
    except (ListenRefused, StoreRefused) as refused:
        complain(f"无法运行 sentinel cannot run: {refused}")
        raise typer.Exit(2) from None


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's where it is installed (Linux), else None for asyncio's own."""
    if sys.platform != "linux":
        return None
    import uvloop

    return uvloop.new_event_loop
