"""What the operator wrote, read with line and column, checked as a whole, and turned into the domain's own types."""

from sentinel.config.configuration import (
    ChannelConfig,
    Configuration,
    DaemonSettings,
    Limits,
    Place,
    Retention,
    Route,
    Zone,
)
from sentinel.config.diff import Change, compare
from sentinel.config.load import load, open_catalog
from sentinel.config.problems import ConfigRefused, Problem

__all__ = [
    "Change",
    "ChannelConfig",
    "ConfigRefused",
    "Configuration",
    "DaemonSettings",
    "Limits",
    "Place",
    "Problem",
    "Retention",
    "Route",
    "Zone",
    "compare",
    "load",
    "open_catalog",
]
