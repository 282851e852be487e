"""``conferences.yaml``: which conferences are planned, so that their incidents can be counted."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from sentinel.config.document import Node
from sentinel.config.fleet import Fleet
from sentinel.config.inventory import Section, Text
from sentinel.config.problems import Problems, did_you_mean
from sentinel.config.quantities import Slug
from sentinel.config.validate import salvage
from sentinel.domain.conference import Conference


def _written(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - pydantic turns only this into an error with its place
            "a time is written as `2026-12-01T09:00:00+08:00`"
        )
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_written, json_schema_input_type=str)]


class ConferenceEntry(Section):
    """One conference."""

    id: Slug = Field(description="Id.")
    name: Text = Field(description="Name on screens.")
    venues: tuple[str, ...] = Field(min_length=1, description="The venues that take part.")
    start: Time = Field(description="Its beginning, with the offset from UTC.")
    end: Time = Field(description="Its end, with the offset from UTC.")

    @model_validator(mode="after")
    def _forward(self) -> ConferenceEntry:
        if self.end <= self.start:
            raise ValueError("the conference ends before it begins")
        return self


class ConferencesFile(Section):
    """Conferences that are planned or were held."""

    conferences: list[ConferenceEntry] = Field(default_factory=list, description="Conferences.")


def read_conferences(node: Node, fleet: Fleet | None, problems: Problems) -> tuple[Conference, ...]:
    """The conferences in the order of their beginning."""
    file, node, _ = salvage(ConferencesFile, node, problems)
    found: dict[str, Conference] = {}
    for index, entry in enumerate(file.conferences if file else ()):
        here = node.at("conferences", index)
        if entry.id in found:
            problems.error(here.at("id").position, f"the conference `{entry.id}` is here twice")
            continue
        for position, venue in enumerate(entry.venues):
            if fleet is not None and venue not in fleet.venues and not fleet.was_removed(venue):
                place = here.at("venues", position).position
                problems.error(place, f"unknown venue `{venue[:80]}`{did_you_mean(venue, fleet.venues)}")
        found[entry.id] = Conference(entry.id, entry.name, entry.venues, entry.start.timestamp(), entry.end.timestamp())
    return tuple(sorted(found.values(), key=lambda conference: (conference.start, conference.id)))
