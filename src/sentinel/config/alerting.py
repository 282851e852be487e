"""``alerting.yaml``: through which channels, and who is told of what."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from sentinel.catalog import Catalog
from sentinel.config.configuration import ChannelConfig, Route
from sentinel.config.document import Node
from sentinel.config.fleet import Fleet
from sentinel.config.inventory import Section
from sentinel.config.problems import Problems, did_you_mean
from sentinel.config.quantities import Slug
from sentinel.config.sla import SelectorEntry, look_up
from sentinel.config.validate import message, real_path, salvage
from sentinel.domain.rule import Severity


class ChannelEntry(Section):
    """One receiver."""

    type: str = Field(description="The sort of channel.")
    public: bool = Field(
        default=False,
        description="It leaves the house (a messenger, mail): no address, network name or picture goes there.",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the sort of channel.")


class RouteEntry(Section):
    """Which channels are told of what."""

    match: SelectorEntry = Field(default_factory=SelectorEntry, description="Incidents of these checks. Default: all.")
    severities: tuple[Severity, ...] = Field(
        default=tuple(Severity), min_length=1, description="Incidents of these severities. Default: all."
    )
    channels: tuple[str, ...] = Field(description="Channels that are told; none: nobody is.")
    proceed: bool = Field(default=False, alias="continue", description="Ask the routes after it as well.")


class AlertingFile(Section):
    """Who is told, and how."""

    channels: dict[Slug, ChannelEntry] = Field(default_factory=dict, description="Channels by name.")
    routes: list[RouteEntry] = Field(default_factory=list, description="Asked in order; the first that matches counts.")


def read_alerting(
    node: Node, catalog: Catalog, fleet: Fleet | None, problems: Problems
) -> tuple[dict[str, ChannelConfig], tuple[Route, ...]]:
    """Channels with their own options, and the routes to them."""
    file, node, removed = salvage(AlertingFile, node, problems)
    channels: dict[str, ChannelConfig] = {}
    if file is None:
        return channels, ()
    for name, entry in file.channels.items():
        made = _channel(name, entry, node.at("channels", name), catalog, problems)
        if made is not None:
            channels[name] = made
    routes = tuple(
        _route(route, file, removed, node.at("routes", index), fleet, problems)
        for index, route in enumerate(file.routes)
    )
    told = {word for route in routes for word in route.channels}
    for name in channels:
        if name not in told:
            problems.warning(node.key("channels", name), f"no route leads to the channel `{name}`")
    return channels, routes


def _route(
    entry: RouteEntry, file: AlertingFile, removed: set[str], node: Node, fleet: Fleet | None, problems: Problems
) -> Route:
    for index, word in enumerate(entry.channels):
        if word not in file.channels and word not in removed:
            place = node.at("channels", index).position
            problems.error(place, f"unknown channel `{word[:80]}`{did_you_mean(word, file.channels)}")
    selector = entry.match.selector()
    if fleet is not None:
        look_up(node.child("match"), fleet, problems)
        if not any(selector.matches(check) for check in fleet.checks.values()):
            problems.warning(node.position, "the route matches no check")
    return Route(selector, frozenset(entry.severities), entry.channels, entry.proceed)


def _channel(name: str, entry: ChannelEntry, node: Node, catalog: Catalog, problems: Problems) -> ChannelConfig | None:
    channel = catalog.channels.get(entry.type)
    if channel is None:
        hint = did_you_mean(entry.type, catalog.channels)
        problems.error(node.at("type").position, f"unknown type of channel `{entry.type[:80]}`{hint}")
        return None
    options = node.child("options") or Node(node.position, {})
    try:
        return ChannelConfig(name, entry.type, channel.options.model_validate(options.plain()), entry.public)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            path = real_path(detail["loc"], options)
            forbidden = detail["type"] == "extra_forbidden"
            place = options.key(*path) if forbidden and path else options.at(*path).position
            problems.error(place, message(detail, channel.options, options.at(*path).value))
    return None
