"""What a newcomer starts with: the shipped configuration and probes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def starter() -> Path:
    """The directory that holds the shipped ``config`` and ``probes``: in the installed package, or the source tree."""
    package = Path(str(files("sentinel")))
    installed = package / "_starter"
    return installed if installed.is_dir() else package.parent.parent
