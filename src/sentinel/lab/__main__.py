"""``python -m sentinel.lab CONFIG [--probes DIR] [--block N]``: the lab on a leash, as ``sentinel demo`` starts it.

It ends with its standard input, and says on standard output what it does: a JSON object a line, ``event`` being
``progress`` (``text``), ``ready`` (``status``) or ``failed`` (``text``).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import uvloop

from sentinel.config import ConfigRefused
from sentinel.lab.block import BlockTaken
from sentinel.lab.camera.clip import NoClip
from sentinel.lab.centre import CannotListen
from sentinel.lab.process import FAILED, PROGRESS, READY, LabOptions, say, serve


def main() -> int:
    """Run it; 0 after an orderly end, 1 where it could not start."""
    parser = argparse.ArgumentParser(prog="python -m sentinel.lab", description=__doc__)
    parser.add_argument("config", type=Path, help="directory of the configuration")
    parser.add_argument("--probes", type=Path, help="directory of the probes")
    parser.add_argument("--block", type=int, help="block of loopback; default: the first that is free")
    given = parser.parse_args()
    options = LabOptions(given.config, given.probes, given.block, leashed=True)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(options, lambda text: say(PROGRESS, text=text), lambda status: say(READY, status=status)))
    except (ConfigRefused, BlockTaken, CannotListen, NoClip, ValueError, OSError) as error:
        say(FAILED, text=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
