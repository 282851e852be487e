"""Metric families and the two text formats that they are written in.

The formats are Prometheus text 0.0.4 and OpenMetrics 1.0.  A sample line is the same in both; only the lines before
a family differ (OpenMetrics 1.0 "Overall Structure", "MetricFamily"), so lines can be rendered once and kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

LABEL_LIMIT = 200
"""Characters of a label's value: names of interfaces and titles come from devices and may be of any length."""

_SUFFIX = {"counter": "_total", "info": "_info", "gauge": ""}
_ESCAPES = str.maketrans(
    {"\\": r"\\", "\n": r"\n", '"': r"\""}
    # Both formats allow them, the programs that read the formats line by line may not.
    | {chr(code): " " for code in (*range(0x20), 0x7F, 0x85, 0x2028, 0x2029) if code != 0x0A}
)


@dataclass(frozen=True)
class Family:
    """Metrics with one name.

    ``name`` is the sample's name, with ``_total`` where it is a counter and ``_info`` where it is an info.
    ``unit`` is one that OpenMetrics knows by name and that the name ends in (``seconds``, ``ratio`` …), or empty.
    """

    name: str
    kind: Literal["gauge", "counter", "info"]
    help: str
    unit: str = ""

    @cached_property
    def text_header(self) -> bytes:
        """HELP and TYPE of Prometheus text 0.0.4, where an info is a gauge."""
        kind = "gauge" if self.kind == "info" else self.kind
        help_ = self.help.replace("\\", r"\\").replace("\n", r"\n")
        return f"# HELP {self.name} {help_}\n# TYPE {self.name} {kind}\n".encode("utf-8", "replace")

    @cached_property
    def openmetrics_header(self) -> bytes:
        """TYPE, UNIT and HELP of OpenMetrics 1.0, whose family names bear no suffix."""
        name = self.name.removesuffix(_SUFFIX[self.kind])
        unit = f"# UNIT {name} {self.unit}\n" if self.unit and name.endswith(f"_{self.unit}") else ""
        help_ = self.help.translate(_ESCAPES)
        return f"# TYPE {name} {self.kind}\n{unit}# HELP {name} {help_}\n".encode("utf-8", "replace")


def labels(pairs: dict[str, str | None]) -> str:
    """``a="1",b="2"``: an empty label is the same as none, so it is left out."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in pairs.items() if value)


def escape(value: str) -> str:
    """A label's value as both formats want it, cut to ``LABEL_LIMIT`` characters; control characters become spaces."""
    return value[:LABEL_LIMIT].translate(_ESCAPES)


def number(value: float) -> str:
    """A sample's value: ``NaN``, ``+Inf`` and ``-Inf`` as the formats spell them."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
