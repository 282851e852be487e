"""What a web server of the lab answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Page:
    """One answer.  ``authorization`` is the header that has to come for it, None where anybody may have it.

    ``cookies`` are what it sets, each as ``Set-Cookie`` has it.
    """

    status: int
    body: bytes
    kind: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: str | None = None
    cookies: tuple[str, ...] = ()
