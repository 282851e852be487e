"""An inventory as the lab sees it, and as the daemon that watches the lab has to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sentinel.config import Configuration, load, open_catalog
from sentinel.domain.target import Check
from sentinel.lab.addresses import belongs, rule


def read(config: Path, probes: Path | None, block: int) -> Configuration:
    """The configuration with the fleet moved to a block of loopback.

    Raises:
        ConfigRefused: it has errors.
    """
    return load(config, probes, catalog=open_catalog(config, probes), readdress=rule(block))


def trusting(configuration: Configuration, authority: Path, block: int) -> Configuration:
    """The same configuration, whose checks of the lab's addresses trust the lab's authority (a PEM file).

    A check that names its own ``tls_ca_file`` keeps it.
    """

    def amended(check: Check) -> Check:
        options = check.options
        if not belongs(check.target.address, block) or getattr(options, "tls_ca_file", "") is not None:
            return check
        return replace(check, options=options.model_copy(update={"tls_ca_file": str(authority)}))

    return replace(configuration, checks={id_: amended(check) for id_, check in configuration.checks.items()})
