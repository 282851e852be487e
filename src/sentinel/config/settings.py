"""``sentinel.yaml``: the daemon itself.

Where nothing is said, state and socket lie where systemd puts them (``$STATE_DIRECTORY``, ``$RUNTIME_DIRECTORY``), for
root in ``/var/lib/sentinel`` and ``/run/sentinel``, for an ordinary user where XDG's base directory specification says.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from sentinel.config.configuration import DaemonSettings, Limits, Retention
from sentinel.config.document import Node
from sentinel.config.inventory import Section
from sentinel.config.problems import Problems, did_you_mean
from sentinel.config.quantities import Duration, Size, Slug
from sentinel.config.secrets import DIRECTORY
from sentinel.config.validate import salvage

_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]/@\s]+):([0-9]{1,5})")

Limit = Annotated[int, Field(ge=1, le=100_000)]


class TlsEntry(Section):
    """The certificate of the wall page and the API."""

    cert: str = Field(description="PEM file with the certificate and its chain; relative to the configuration.")
    key: str = Field(description="PEM file with the private key; relative to the configuration.")


class LimitsEntry(Section):
    """The most probes in flight at once; what is over the limit waits for its turn."""

    host: Limit = Field(default=4, description="To one address.")
    zone: Limit = Field(default=512, description="In one zone.")
    zones: dict[str, Limit] = Field(default_factory=dict, description="In zones of other measure, by id.")
    protocol: Limit = Field(default=512, description="Of one protocol.")
    protocols: dict[str, Limit] = Field(default_factory=dict, description="Of protocols of other measure, by name.")


class RetentionEntry(Section):
    """For how long figures are kept.

    Incidents and their transitions are kept for ever, and so are picture retrievals that took more than one attempt
    or over 10 s.
    """

    five_minutes: Duration = Field(default=14 * 86_400.0, ge=86_400, description="Roll-ups of five minutes.")
    hours: Duration = Field(
        default=730 * 86_400.0,
        ge=86_400,
        description=(
            "Roll-ups of an hour, the hourly counts of pictures shown at the first attempt within 10 s, messages that "
            "were settled, and the checks' changes of state."
        ),
    )
    evidence: Duration = Field(
        default=90 * 86_400.0, ge=3600, description="Evidence of incidents: the frame that was judged, the path."
    )
    evidence_size: Size = Field(
        default=256 * 1_048_576,
        ge=1_048_576,
        le=1 << 40,
        description="All evidence together; the oldest goes first where there is more.",
    )
    evidence_pieces: int = Field(
        default=5_000, ge=1, le=1_000_000, description="The same as a number; an incident has at most 12 of them."
    )
    values: Duration = Field(
        default=28 * 86_400.0,
        ge=86_400,
        le=366 * 86_400.0,
        description="What was measured by the hour, for `sentinel baseline learn`.",
    )
    values_rows: int = Field(
        default=1_000_000,
        ge=1_000,
        le=10_000_000,
        description="The same in rows of about 100 bytes, one an hour, check and value; the oldest hour goes first.",
    )


class SentinelFile(Section):
    """The daemon itself."""

    vantage: Slug = Field(default="centre", description="This daemon's name as a prober; zones refer to it.")
    listen: str = Field(
        default="127.0.0.1:8640",
        description="Where the wall page, the API and /metrics are served. All but loopback needs `tls` and `token`.",
    )
    tls: TlsEntry | None = Field(default=None, description="Serve over TLS.")
    token: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        default=None, description="Bearer token that readers must show; at least 16 characters. Use `${credential:…}`."
    )
    external_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = Field(
        default=None, description="How people reach the wall page; messages link to it. Default: made of `listen`."
    )
    locale: Literal["zh-CN", "en"] = Field(default="zh-CN", description="Language of messages and screens.")
    store: str = Field(
        default="sentinel.db", min_length=1, description="Database file; relative to the state directory."
    )
    socket: str | None = Field(
        default=None, description="Unix socket of the command line. Default: sentinel.sock in the runtime directory."
    )
    limits: LimitsEntry = Field(default_factory=LimitsEntry, description="The most probes in flight at once.")
    retention: RetentionEntry = Field(default_factory=RetentionEntry, description="For how long figures are kept.")
    site_protocols: bool = Field(
        default=False, description="Load protocols from probes/site/*.py: code that runs with the daemon's rights."
    )
    secret_directories: tuple[str, ...] = Field(
        default=(str(DIRECTORY),),
        description="Where `${file:PATH}` may point, besides this directory. Absolute paths, without references.",
    )

    @field_validator("listen")
    @classmethod
    def _address(cls, listen: str) -> str:
        split(listen)
        return listen


def split(listen: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:8640`` or ``[::1]:8640``.

    Raises:
        ValueError: it is neither.
    """
    found = _LISTEN.fullmatch(listen)
    if found is None or int(found[2]) > 65_535:
        raise ValueError("an address is written as `127.0.0.1:8640` or `[::1]:8640`")
    return found[1].strip("[]"), int(found[2])


@dataclass(frozen=True, slots=True)
class Directories:
    """Where state and sockets lie."""

    state: Path
    runtime: Path

    @classmethod
    def of(cls, environment: Mapping[str, str], user: int) -> Directories:
        """By systemd, by being root, or by XDG, in this order."""
        home = Path(environment.get("HOME") or "/")
        root = user == 0
        xdg_state = Path(environment.get("XDG_STATE_HOME") or home / ".local/state") / "sentinel"
        xdg_runtime = environment.get("XDG_RUNTIME_DIR")
        state = environment.get("STATE_DIRECTORY", "").partition(":")[0]
        runtime = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        return cls(
            Path(state) if state else Path("/var/lib/sentinel") if root else xdg_state,
            Path(runtime)
            if runtime
            else Path("/run/sentinel")
            if root
            else Path(xdg_runtime) / "sentinel"
            if xdg_runtime
            else xdg_state,
        )


def secret_directories(node: Node) -> list[Path]:
    """Where ``${file:PATH}`` may point, as the file says it before anything is expanded."""
    field = node.child("secret_directories")
    if field is None or not isinstance(field.value, list):
        return [DIRECTORY]
    return [Path(item.value) for item in field.value if isinstance(item.value, str) and item.value.startswith("/")]


def read_settings(node: Node, config: Path, problems: Problems) -> DaemonSettings | None:
    """The daemon's settings; ``config`` is the directory that they lie in."""
    file, node, _ = salvage(SentinelFile, node, problems)
    if file is None:
        return None
    host, port = split(file.listen)
    if not _loopback(host):
        lacking = [name for name in ("tls", "token") if getattr(file, name) is None]
        if lacking:
            said = " and ".join(f"`{name}`" for name in lacking)
            place = node.at("listen").position
            problems.error(place, f"{host} is not loopback: that needs {said} as well")
    for index, directory in enumerate(file.secret_directories):
        if not directory.startswith("/"):
            problems.error(node.at("secret_directories", index).position, "an absolute path is expected")
    directories = Directories.of(os.environ, os.geteuid())
    url = file.external_url or f"{'https' if file.tls else 'http'}://{file.listen}"
    return DaemonSettings(
        vantage=file.vantage,
        host=host,
        port=port,
        tls_cert=config / file.tls.cert if file.tls else None,
        tls_key=config / file.tls.key if file.tls else None,
        token=file.token,
        external_url=url.rstrip("/"),
        locale=file.locale,
        store=directories.state / file.store,
        socket=Path(file.socket) if file.socket else directories.runtime / "sentinel.sock",
        limits=Limits(**file.limits.model_dump()),
        retention=Retention(**file.retention.model_dump()),
        site_protocols=file.site_protocols,
    )


def look_up_limits(
    node: Node, zones: Mapping[str, object], protocols: Mapping[str, object], problems: Problems
) -> None:
    """Limits are of zones and protocols that there are."""
    for field, kind, known in (("zones", "zone", zones), ("protocols", "protocol", protocols)):
        for word, place in node.at("limits", field).keys.items() if node.at("limits").child(field) else ():
            if word not in known:
                problems.error(place, f"unknown {kind} `{word[:80]}`{did_you_mean(word, known)}")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
