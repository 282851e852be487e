"""Reads all files, says everything that is wrong with them at once, or gives the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sentinel.catalog import Catalog, discover
from sentinel.config.alerting import read_alerting
from sentinel.config.baselines import learned, read_baselines
from sentinel.config.conferences import read_conferences
from sentinel.config.configuration import Configuration
from sentinel.config.document import Node, Unreadable, read
from sentinel.config.fingerprint import fingerprints
from sentinel.config.fleet import Fleet, Readdress, read_fleet
from sentinel.config.probes import ProbeBook, files
from sentinel.config.problems import ConfigRefused, Position, Problems
from sentinel.config.secrets import Secrets
from sentinel.config.settings import look_up_limits, read_settings, secret_directories
from sentinel.config.sla import read_rules
from sentinel.config.starter import starter

REQUIRED = ("inventory", "sla", "alerting", "sentinel")
OPTIONAL = ("conferences", "baselines")


def probes_of(config: Path) -> Path:
    """Where the probes are unless it is said: ``probes`` beside the configuration's directory."""
    return Path(config).parent / "probes" if config.name else Path("..") / "probes"


def open_catalog(config: Path, probes: Path | None = None) -> Catalog:
    """The catalog that a configuration asks for: with site-local protocols where sentinel.yaml switches them on.

    What is broken in it is told by ``load``, together with everything else.
    """
    try:
        node = read(config / "sentinel.yaml").child("site_protocols")
    except Unreadable:
        node = None
    wanted = node is not None and node.value is True
    return discover((probes or probes_of(config)) / "site" if wanted else None)


def load(
    config: Path,
    probes: Path | None = None,
    *,
    catalog: Catalog,
    readdress: Readdress | None = None,
) -> Configuration:
    """The configuration in the directory ``config`` with the probes in ``probes`` (default: beside it).

    ``readdress`` moves every target's address and its checks' ports: the lab's rule.

    Raises:
        ConfigRefused: with every error of every file.
    """
    problems = Problems()
    for broken in catalog.broken:
        problems.error(Position(broken.file, broken.line), broken.message)
    sources = _read(config, probes or probes_of(config), problems)
    settings = read_settings(sources.named["sentinel"], config, problems) if "sentinel" in sources.named else None
    profiles = [directory / "profiles" for directory in (probes or probes_of(config), starter() / "probes")]
    book = ProbeBook(catalog, problems, profiles)
    for node in sources.probes:
        book.add(node)
    fleet: Fleet | None = None
    if "inventory" in sources.named:
        vantage = settings.vantage if settings else None
        fleet = read_fleet(sources.named["inventory"], book, problems, vantage=vantage, readdress=readdress)
    rules = read_rules(sources.named["sla"], fleet, problems) if "sla" in sources.named else ()
    empty = Node(Position(str(config / "alerting.yaml")), {})
    channels, routes = read_alerting(sources.named.get("alerting", empty), catalog, fleet, problems)
    conferences = (
        read_conferences(sources.named["conferences"], fleet, problems) if "conferences" in sources.named else ()
    )
    baselines = read_baselines(sources.named["baselines"], fleet, problems) if "baselines" in sources.named else {}
    if fleet is not None and "sentinel" in sources.named:
        look_up_limits(sources.named["sentinel"], fleet.zones, catalog.protocols, problems)
    if problems.errors or settings is None or fleet is None:
        raise ConfigRefused(problems.errors)
    return Configuration(
        targets=fleet.targets,
        checks=fleet.checks,
        zones=fleet.zones,
        venues=fleet.venues,
        rooms=fleet.rooms,
        systems=fleet.systems,
        rules=rules,
        conferences=conferences,
        channels=channels,
        routes=routes,
        daemon=settings,
        fingerprints=fingerprints(fleet.checks.values(), rules, baselines),
        warnings=tuple(problems.warnings),
        baselines=baselines,
        learned=learned(fleet, rules),
    )


@dataclass(slots=True)
class _Sources:
    named: dict[str, Node] = field(default_factory=dict)
    probes: list[Node] = field(default_factory=list)


def _read(config: Path, probes: Path, problems: Problems) -> _Sources:
    """Every file as a tree, its secrets expanded; what cannot be read is a problem."""
    sources = _Sources()
    for name in (*REQUIRED, *OPTIONAL):
        path = config / f"{name}.yaml"
        if name in OPTIONAL and not path.exists():
            continue
        if (node := _tree(path, problems)) is not None:
            sources.named[name] = node
    paths = files(probes)
    if not paths:
        problems.error(Position(str(probes)), "there are no probes here (*.yaml)")
    sources.probes = [node for path in paths if (node := _tree(path, problems)) is not None]
    directories = [config]
    if "sentinel" in sources.named:
        directories += secret_directories(sources.named["sentinel"])
    secrets = Secrets(directories)
    for node in (*sources.named.values(), *sources.probes):
        secrets.expand(node, problems)
    return sources


def _tree(path: Path, problems: Problems) -> Node | None:
    try:
        return read(path)
    except Unreadable as error:
        problems.error(error.position, error.message)
        return None
