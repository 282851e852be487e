"""The shape of ``inventory.yaml``: networks, places, and targets by templates, groups and ranges."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sentinel.config.quantities import Duration, Slug
from sentinel.sdk.ssh_login import SshLogin

Text = Annotated[str, Field(min_length=1, max_length=200)]
Pattern = Annotated[str, Field(min_length=1, max_length=200)]


class Section(BaseModel):
    """Base of everything in a configuration file: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ViaEntry(SshLogin):
    """An SSH bastion that the vantage goes through: TCP only, names are resolved behind it."""

    address: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="IPv4 or IPv6 address or a host name of the bastion.",
    )


class ZoneEntry(Section):
    """A network that is separate from the others."""

    name: Text = Field(description="Name on screens.")
    vantage: Slug | None = Field(
        default=None,
        description="Who probes in this network; left out where nobody does: its checks are shown as unobserved.",
    )
    via: ViaEntry | None = Field(
        default=None,
        description="The SSH bastion through which the vantage reaches it. Only what speaks over TCP can be checked.",
    )


class Numbered(Section):
    """An entry that stands for `count` entries."""

    count: int = Field(default=1, ge=1, le=4096, description="How many it stands for; `{n}` is each one's number.")
    start: int = Field(default=1, ge=0, le=1_000_000, description="The first `{n}`.")


class PlaceEntry(Numbered):
    """Something with an owner."""

    id: Pattern = Field(description="Id: small letters, digits and hyphens; may hold `{n}`.")
    name: Text = Field(description="Name on screens; may hold `{n}`.")
    owner: str = Field(default="", max_length=200, description="Who answers for it.")
    contact: str = Field(default="", max_length=200, description="How the owner is reached.")
    placeholder: bool = Field(default=False, description="It exists, but its real name is not known yet.")


class VenueEntry(PlaceEntry):
    """A place where conferences are held."""


class RoomEntry(PlaceEntry):
    """A room."""

    venue: str | None = Field(
        default=None, description="The venue that it belongs to; its targets belong there as well."
    )


class SystemEntry(PlaceEntry):
    """A platform or an integrated system."""

    kind: Literal["platform", "image", "business"] = Field(
        description="`platform` (our own), `image` (cameras of another owner) or `business`.",
    )


class CheckEntry(Section):
    """A probe at an interval.  Layers (template, groups, target) add up: a field that is given later counts."""

    probe: str | None = Field(default=None, description="A name from probes/*.yaml.")
    interval: Duration | None = Field(default=None, ge=1, le=86_400, description="From one start to the next.")
    timeout: Duration | None = Field(
        default=None,
        ge=0.05,
        le=600,
        description="Deadline of one run, at most the interval. Default: 5s, or the interval where that is shorter.",
    )
    required: bool | None = Field(
        default=None, description="A conference in the target's venue needs it. Default: false."
    )
    enabled: bool | None = Field(default=None, description="false takes away what a template gave. Default: true.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the protocol, over the probe's own.")


class Traits(Section):
    """What a target may have from its template or its group."""

    kind: Slug | None = Field(default=None, description="What it is: terminal, camera, switch, mixer …")
    zone: str | None = Field(default=None, description="The network that it is in.")
    venue: str | None = Field(default=None, description="The venue that it belongs to. Default: its room's.")
    room: str | None = Field(default=None, description="The room that it stands in.")
    system: str | None = Field(default=None, description="The system that it is part of.")
    parents: tuple[str, ...] | None = Field(
        default=None,
        description="Targets that it hangs on; with several, any one of them is way enough.",
    )
    labels: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], Annotated[str, Field(max_length=200)]] = (
        Field(
            default_factory=dict,
            description="Words of your own, for selectors and messages.",
        )
    )
    reachability: str | None = Field(
        default=None,
        description="The check that says whether it answers. Default: the icmp one, else a tcp one, else the first.",
    )
    placeholder: bool | None = Field(default=None, description="It exists, but its real name is not known yet.")
    checks: dict[Slug, CheckEntry] = Field(default_factory=dict, description="Checks by name.")


class Template(Traits):
    """What targets of one sort have in common."""


class Defaults(Traits):
    """What the targets of a group have in common."""

    template: str | None = Field(default=None, description="The template of targets that name none.")


class TargetEntry(Traits, Numbered):
    """A target, or `count` targets."""

    id: Pattern = Field(description="Id: small letters, digits and hyphens; may hold `{n}`, `{n:02}`, `{n+10}`, `{g}`.")
    name: Text = Field(description="Name on screens; may hold `{n}`.")
    address: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="IPv4 or IPv6 address or a host name; may hold `{n}`, in IPv6 also `{n:x}`.",
    )
    template: str | None = Field(default=None, description="The template that it starts from.")


class Group(Numbered):
    """Targets with something in common; groups may hold groups.  With `count`, `{g}` is each one's number."""

    name: str = Field(default="", max_length=200, description="For the reader of this file.")
    defaults: Defaults = Field(default_factory=Defaults, description="What its targets have unless they say otherwise.")
    targets: list[TargetEntry] = Field(default_factory=list, description="Its targets.")
    groups: list[Group] = Field(default_factory=list, description="Groups in it; they inherit its defaults.")


class InventoryFile(Section):
    """What there is: networks, places, and every target with its checks."""

    zones: dict[Slug, ZoneEntry] = Field(description="Networks by id.")
    venues: list[VenueEntry] = Field(default_factory=list, description="Conference venues.")
    rooms: list[RoomEntry] = Field(default_factory=list, description="Rooms.")
    systems: list[SystemEntry] = Field(default_factory=list, description="Platforms and integrated systems.")
    templates: dict[Slug, Template] = Field(default_factory=dict, description="Templates by name.")
    groups: list[Group] = Field(default_factory=list, description="Targets by group.")
    targets: list[TargetEntry] = Field(default_factory=list, description="Targets without a group.")
