"""A survey of pictures, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import av


class Survey:
    """Measures."""

    def __init__(self, head: Mapping[str, Any], traces: bytes) -> None:
        self.values: dict[str, float] = {}
        self.traces = b""

    def take(self, frame: av.VideoFrame, seconds: float) -> None:
        """Measure one more picture."""
