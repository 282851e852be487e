"""Who is told of a transition, and in which words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sentinel.config.configuration import Configuration
from sentinel.domain.incident import Incident, Telling, Transition
from sentinel.domain.notice import Event, Notice
from sentinel.domain.rule import Severity
from sentinel.domain.wording import Context, message
from sentinel.domain.words import INTERNAL_RULES, word
from sentinel.engine.ports import Clock


class Announcer:
    """Chooses channels by the routes and composes the message for each.

    The end of an incident goes to the channels that know of it, whatever the routes say by then.
    ``dependents`` gives the ids of the targets that hang on one, ``untold`` the incidents that nobody was told of.
    """

    def __init__(self, configuration: Callable[[], Configuration], clock: Clock) -> None:
        self._configuration = configuration
        self._clock = clock
        self.dependents: Callable[[str], Sequence[str]] = _none
        self.untold: Callable[[], Sequence[Incident]] = tuple

    def __call__(self, incident: Incident, transition: Transition) -> tuple[Incident, Sequence[Notice]]:
        """The incident with the channels that know of it now, and a notice for each channel."""
        configuration = self._configuration()
        channels = incident.channels
        if transition.event is not Event.RESOLVED:
            chosen = self._chosen(configuration, incident)
            channels = (*channels, *(one for one in chosen if one not in channels))
        told = replace(incident, channels=channels)
        context = self._context(configuration, incident, transition)
        now = self._clock.now()
        notices = []
        for channel in channels:
            config = configuration.channels.get(channel)
            text = message(
                told, transition, context, configuration.daemon.locale, public=config is not None and config.public
            )
            notices.append(Notice(incident.id, transition.seq, channel, text, now, next_at=now))
        return told, notices

    def _chosen(self, configuration: Configuration, incident: Incident) -> list[str]:
        check = configuration.checks.get(incident.subject)
        chosen: dict[str, None] = {}
        for route in configuration.routes:
            if incident.severity not in route.severities:
                continue
            # What is about no check (the estate, ourselves) goes wherever something goes: it concerns them all.
            if check is None or route.selector.matches(check):
                chosen.update(dict.fromkeys(route.channels))
                if check is not None and not route.proceed:
                    break
        return list(chosen)

    def _context(self, configuration: Configuration, incident: Incident, transition: Transition) -> Context:
        rule = next((one.name for one in configuration.rules if one.id == incident.rule), "")
        locale = configuration.daemon.locale
        target = configuration.targets.get(incident.target)
        above = configuration.targets.get(incident.cause or transition.cause)
        if target is None:
            return Context(rule=rule or word(INTERNAL_RULES, incident.rule, locale), url=_page(configuration, incident))
        venue = configuration.venues.get(target.venue or "")
        room = configuration.rooms.get(target.room or "")
        system = configuration.systems.get(target.system or "")
        zone = configuration.zones.get(target.zone)
        hanging = self._hanging(configuration, incident)
        untold = [one for one in self.untold() if one.telling is Telling.SUPPRESSED and one.cause == target.id]
        return Context(
            rule=rule,
            kind=target.kind,
            venue=venue.name if venue else "",
            room=room.name if room else "",
            system=system.name if system else "",
            owner=system.owner if system else "",
            zone=zone.name if zone else "",
            address=target.address,
            dependents=hanging,
            suppressed=len(untold),
            cause=above.name if above else "",
            previous=Severity(transition.old) if transition.event is Event.CHANGED else None,
            url=_page(configuration, incident),
        )

    def _hanging(self, configuration: Configuration, incident: Incident) -> tuple[str, ...]:
        target = configuration.targets[incident.target]
        if target.reachability != incident.subject:
            return ()  # only a target that does not answer at all takes others with it
        return tuple(configuration.targets[one].name for one in self.dependents(target.id))


def _page(configuration: Configuration, incident: Incident) -> str:
    base = configuration.daemon.external_url
    return f"{base.rstrip('/')}/#{incident.id}" if base else ""


def _none(_target: str) -> Sequence[str]:
    return ()
