"""A lab's place on this machine: its block of loopback, and the directories of its files."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sentinel.config.settings import Directories
from sentinel.lab.addresses import BLOCKS, network


class BlockTaken(Exception):
    """Another lab runs in this block, or in all of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the lab of one block keeps its files; found without the lab, so that ``sentinel lab`` finds it."""

    block: int
    runtime: Path
    state: Path

    @classmethod
    def of(cls, block: int) -> Place:
        """By the same rules as the daemon's own directories."""
        directories = Directories.of(os.environ, os.geteuid())
        name = f"lab-{block}"
        return cls(block, directories.runtime / name, directories.state / name)

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.runtime / "control.sock"

    @property
    def authority(self) -> Path:
        """The certificate of the lab's own authority, PEM."""
        return self.state / "ca.pem"

    @property
    def page(self) -> Path:
        """A file with the address of the daemon that watches this lab; there while a demo runs."""
        return self.state / "daemon.url"

    def make(self) -> None:
        """Make the directories, for the owner alone.

        Raises:
            OSError: they cannot be made.
        """
        for directory in (self.runtime, self.state):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def running() -> Iterator[Place]:
    """The places whose control socket somebody listens on, in the order of their blocks."""
    for block in range(BLOCKS):
        place = Place.of(block)
        if not place.socket.exists():
            continue
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(str(place.socket))
            except OSError:
                continue
        yield place


class Block:
    """A block that is ours until ``release``, or until the process ends in whatever way.

    The lock is a name in Linux's abstract socket namespace (unix(7)): it belongs to the network namespace, as the
    addresses do that it guards, holds between users, and leaves nothing behind.
    """

    def __init__(self, number: int, lock: socket.socket) -> None:
        self.number = number
        self._lock = lock

    def release(self) -> None:
        """Give the block back."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


def take(wanted: int | None = None) -> Block:
    """The block that is wanted, or the first that is free.

    Raises:
        BlockTaken: it is not free, or none is.
        ValueError: there is no such block.
    """
    for number in range(BLOCKS) if wanted is None else (wanted,):
        network(number)
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0sentinel-lab-{number}")
        except OSError as error:
            lock.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return Block(number, lock)
    raise BlockTaken("every block is in use" if wanted is None else f"another lab runs in block {wanted}")
