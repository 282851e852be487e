"""A peer's process: started, waited for, stopped by its own id, its output kept for the failure message."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

READY_WITHIN = 15.0
STOP_WITHIN = 5.0


class PeerDiedError(Exception):
    """A peer ended, or did not come up in time; the message ends with what it last said."""


@contextlib.contextmanager
def running(
    argv: Sequence[str | Path],
    *,
    ready: Callable[[], bool],
    log: Path,
    env: Mapping[str, str] | None = None,
    within: float = READY_WITHIN,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `argv` while the block runs, from when `ready()` says so; its output goes to the file `log`.

    Raises PeerDiedError where it ends early or is not ready `within` so many seconds.
    """
    command = [os.fspath(part) for part in argv]
    setpriv = shutil.which("setpriv")
    if setpriv:  # a peer must not outlive a test run that was killed
        command = [setpriv, "--pdeathsig", "KILL", "--", *command]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(os.environ) | dict(env or {})
        )
    try:
        deadline = time.monotonic() + within
        while not ready():
            if process.poll() is not None:
                raise PeerDiedError(f"{argv[0]} ended with {process.returncode}:\n{tail(log)}")
            if time.monotonic() > deadline:
                raise PeerDiedError(f"{argv[0]} was not ready within {within:.0f} s:\n{tail(log)}")
            time.sleep(0.01)
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process: politely, then not. Ends at once where it is already gone."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def tail(log: Path, characters: int = 2000) -> str:
    """The end of what a process said."""
    return log.read_text("utf-8", "replace")[-characters:]


def accepts(host: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
