"""The wall page's content: tiles, verdict, open incidents and promises as plain data in one language.

The template draws it and the events send it, so that a page that was patched is the same as one that is loaded anew.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sentinel.config.configuration import Configuration
from sentinel.domain.incident import Incident, State, Telling
from sentinel.domain.rule import RetrievalLimit, Rule, Severity
from sentinel.domain.words import CODES, INTERNAL_RULES, STAGES, word
from sentinel.engine.snapshot import SlaFigure, Snapshot
from sentinel.web.layout import Layout, Spot
from sentinel.web.text import seconds, shown
from sentinel.web.words import Words

ROOM = 8.6
"""Incidents of two lines that fit on the wall; the rest is a number."""
LINE = 0.32
"""What a further line takes of it."""
WIDE = 37
"""Latin letters that surely fit on a line; a Chinese sign is as wide as two."""

_WORST_FIRST = ("down", "failing", "up", "unknown", "pending", "unobserved")

Tile = dict[str, Any]


def target_state(states: Iterable[str]) -> tuple[str, bool]:
    """A target's state from its checks', and whether a part of it could not be measured.

    Something bad wins; then something good; what could not be measured at all is never shown as good.
    """
    known = set(states)
    for state in _WORST_FIRST:
        if state in known:
            return state, state == "up" and "unknown" in known
    return "pending", False


def tile(spot: Spot, snapshot: Snapshot, words: Words) -> Tile:
    """``id, state, partial, word, note``: ``note`` counts the targets behind a tile that has several."""
    views = snapshot.checks
    found = [target_state(views[check].state for check in members if check in views) for members in spot.members]
    counts = Counter(state for state, _ in found)
    total = len(found)
    state = next(state for state in (*_BAD_FIRST, "pending") if counts[state] or state == "pending")
    partial = state == "up" and (any(part for _, part in found) or counts["unobserved"] > 0)
    if total == 1:
        note = ""
    elif state in _COUNTED:
        note = words[_COUNTED[state]].format(bad=counts[state], n=total)
    elif state == "up":
        note = f"{counts['up']}/{total}"
    else:
        note = str(total)
    return {"id": spot.id, "state": state, "partial": partial, "word": words[state], "note": note}


# A tile of many targets: one unknown among good ones is worth seeing, some unobserved among good ones are a remark.
_BAD_FIRST = ("down", "failing", "unknown", "up", "unobserved")
_COUNTED = {"down": "bad_of", "failing": "failing_of", "unknown": "unknown_of"}


def verdict(layout: Layout, snapshot: Snapshot, undelivered: int, words: Words) -> dict[str, Any]:
    """The one big line: never "all well" where nothing was seen."""
    counts: Counter[str] = Counter()
    for members in {members for spot in layout.spots.values() for members in spot.members}:
        counts[target_state(snapshot.checks[check].state for check in members if check in snapshot.checks)[0]] += 1
    told = [one for one in snapshot.incidents.values() if _open(one) and one.telling is not Telling.SUPPRESSED]
    observed = counts["up"] + counts["down"] + counts["failing"]
    if told:
        worst = max(one.severity.rank for one in told)
        state, text = ("bad" if worst >= Severity.MAJOR.rank else "warn"), words["faults"].format(n=len(told))
    elif observed:
        state, text = "good", words["all_well"]
    elif counts["unknown"]:
        state, text = "blind", words["all_unknown"]
    else:
        state, text = "blind", words["nothing_seen"]
    parts = [words["sub_observed"].format(n=observed)]
    parts += [
        words[f"sub_{name}"].format(n=counts[name]) for name in ("failing", "unknown", "unobserved") if counts[name]
    ]
    return {
        "state": state,
        "text": text,
        "sub": " · ".join(parts),
        "undelivered": words["undelivered"].format(n=undelivered) if undelivered else "",
    }


def incidents(configuration: Configuration, snapshot: Snapshot, words: Words) -> dict[str, Any]:
    """What was told by severity, then age; what hangs on a cause is a number under its row, or a row after them."""
    found = [one for one in snapshot.incidents.values() if _open(one)]
    hanging = Counter(one.cause for one in found if one.telling is Telling.SUPPRESSED)
    rules = {rule.id: rule for rule in configuration.rules}
    rows = []
    claimed: set[str] = set()
    told = [one for one in found if one.telling is not Telling.SUPPRESSED]
    for one in sorted(told, key=lambda one: (-one.severity.rank, one.began_at, one.id)):
        row = _row(one, rules.get(one.rule), configuration, words)
        if one.target and one.target in hanging and one.target not in claimed:
            claimed.add(one.target)
            row["hang"] = words["hang"].format(n=hanging[one.target])
        rows.append(row)
    orphans = [_orphans(cause, found, configuration, words) for cause in hanging if cause not in claimed]
    rows += sorted(orphans, key=lambda row: (-Severity(row["severity"]).rank, row["since"], row["id"]))
    waiting = any("open_since_timestamp_seconds" in figure.counts for figure in snapshot.sla)
    fitting = _fitting(rows, ROOM - LINE if waiting else ROOM)  # the promises take a line more
    more = len(rows) - fitting
    return {"rows": rows[:fitting], "more": words["more"].format(n=more) if more else "", "open": len(rows)}


def _fitting(rows: list[dict[str, Any]], room: float) -> int:
    taken = 0.0
    for n, row in enumerate(rows):
        taken += 1.0 + LINE * (_wrapped(row) + bool(row["hang"]))
        if taken > room:
            return n
    return len(rows)


def _wrapped(row: dict[str, Any]) -> int:
    """Lines that a long failure takes more: it is never cut, and what is left of the last line may not do."""
    lines = -(-sum(2 if ord(sign) > 0x2E80 else 1 for sign in row["what"]) // WIDE)
    return lines - 1 + bool(row["where"]) if lines > 1 else 0


def _open(incident: Incident) -> bool:
    return incident.state is State.OPEN


def _row(one: Incident, known: Rule | None, configuration: Configuration, words: Words) -> dict[str, Any]:
    rule, promise = (one.rule, None) if known is None else (known.name, known.predicate)
    said, lang = one.verdict, words["lang"]
    named = shown(word(INTERNAL_RULES, rule, lang), 60)
    # Which check, or which promise of it, then the place: that is what is cut where there is no room.
    where = [words["held"]] if one.telling is Telling.HELD else []
    if said is not None and said.code:
        what = f"{word(STAGES, said.stage, lang)}{words['colon']}{word(CODES, said.code, lang)}"
    else:
        what = named
    if isinstance(promise, RetrievalLimit) and what != named:
        where.append(named)
    elif one.subject in configuration.checks:
        where.append(configuration.checks[one.subject].name)
    if place := _where(one.target, configuration):
        where.append(place)
    return {
        "id": one.id,
        "severity": one.severity.value,
        "word": words[one.severity.value],
        "title": shown(one.title, 60),
        "where": " · ".join(where),
        "what": what,
        "since": one.began_at,
        "hang": "",
    }


def _where(target: str, configuration: Configuration) -> str:
    known = configuration.targets.get(target)
    if known is None:
        return ""
    for place, places in (
        (known.room, configuration.rooms),
        (known.venue, configuration.venues),
        (known.system, configuration.systems),
    ):
        if place is not None and place in places:
            name = places[place].name
            return "" if known.name.startswith(name) else shown(name, 40)
    return ""


def _orphans(cause: str, found: list[Incident], configuration: Configuration, words: Words) -> dict[str, Any]:
    """A row for what hangs on something that has no told incident of its own."""
    mine = [one for one in found if one.telling is Telling.SUPPRESSED and one.cause == cause]
    worst = max(mine, key=lambda one: one.severity.rank).severity
    known = configuration.targets.get(cause)
    name = shown(known.name if known is not None else cause, 60)
    return {
        "id": f"cause/{cause}",
        "severity": worst.value,
        "word": words[worst.value],
        "title": words["cause"].format(name=name),
        "where": "",
        "what": "",
        "since": min(one.began_at for one in mine),
        "hang": words["hang"].format(n=len(mine)),
    }


def promises(figures: Iterable[SlaFigure], words: Words) -> list[dict[str, Any]]:
    """Cards: retrieval, conference incidents, availability; ``big`` is the figure, ``lines`` what belongs to it."""
    by_kind: defaultdict[str, list[SlaFigure]] = defaultdict(list)
    for figure in figures:
        if figure.subject == "estate":
            by_kind[figure.kind].append(figure)
    drawn: Mapping[str, Any] = {
        "retrieval": _retrieval,
        "conference_rate": _conferences,
        "availability": _availability,
    }
    # One card a kind: of several promises of a kind, a broken one.
    return [
        draw(min(by_kind[kind], key=lambda figure: figure.kept), words) for kind, draw in drawn.items() if by_kind[kind]
    ]


def _retrieval(figure: SlaFigure, words: Words) -> dict[str, Any]:
    last, breaches = figure.counts.get("last_seconds"), figure.counts.get("breaches", 0)
    newest = words["none_yet"] if last is None else seconds(last, words)
    lines = [] if figure.observed is None else [f"{words['retrieval_max']} {seconds(figure.observed, words)}"]
    if figure.kept:
        lines.append(words["breaches"].format(n=f"{breaches:.0f}"))
    else:
        lines.append(f"{words['retrieval_last']} {newest}")
    return {
        "kind": "retrieval",
        "name": words["retrieval"],
        "kept": _kept(figure),
        # A broken promise is the figure, however quick the last picture was.
        "big": newest if figure.kept else words["broken"].format(n=f"{breaches:.0f}"),
        "of": words["limit"].format(n=seconds(figure.limit, words)),
        "lines": lines,
        "running": _running(figure, words),
    }


def _running(figure: SlaFigure, words: Words) -> dict[str, Any]:
    """Pictures that are waited for: ``text``, and ``since`` (UTC epoch seconds) for the age after it."""
    since = figure.counts.get("open_since_timestamp_seconds")
    if since is None:
        return {}
    return {"text": words["retrieving"].format(n=f"{figure.counts.get('open', 1):.0f}"), "since": since}


def _conferences(figure: SlaFigure, words: Words) -> dict[str, Any]:
    counts = figure.counts
    left, current = counts.get("left", 0), counts.get("current", 0)
    lines = [
        words["of_allowed"].format(n=f"{counts.get('allowed', 0):.0f}"),
        words["left"].format(n=f"{left:.0f}") if left >= 0 else words["over"].format(n=f"{-left:.0f}"),
    ]
    if current:
        lines.append(words["conferences_now"].format(n=f"{current:.0f}"))
    return {
        "kind": "conferences",
        "name": words["conferences"],
        "kept": _kept(figure),
        "big": f"{counts.get('incidents', 0):.0f} {words['times']}",
        "of": words["conferences_held"].format(n=f"{counts.get('conferences', 0):.0f}"),
        "lines": lines,
        "running": {},
    }


def _availability(figure: SlaFigure, words: Words) -> dict[str, Any]:
    kind = "target" if figure.contractual else "own_target"
    return {
        "kind": "availability",
        "name": words["availability"],
        "kept": _kept(figure),
        "big": words["none_yet"] if figure.observed is None else _percent(figure.observed),
        "of": words[kind].format(n=_percent(figure.limit)),
        "lines": [],
        "running": {},
    }


def _kept(figure: SlaFigure) -> str:
    if not figure.kept:
        return "no"
    return "none" if figure.observed is None else "yes"  # nothing measured yet is not a success


def _percent(ratio: float) -> str:
    # Cut, not rounded: 99.996 % of a promise of 100 % is not 100 %.
    return f"{int(ratio * 1e5 + 1e-6) / 1e3:.3f}".rstrip("0").rstrip(".") + "%"
